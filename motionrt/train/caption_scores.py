"""Captions against what people said of the same motion: BLEU, ROUGE-L, CIDEr and BERTScore.

Each is computed by the library that the field keeps for it (the ``captions`` extra).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pycocoevalcap.cider.cider as cider_library
import sacrebleu
from rouge_score import rouge_scorer

from motionrt.runtime.errors import InputError, one_line

_WORDS = re.compile(r"[^a-z0-9 ]+")


def caption_scores(
    captions: Sequence[str], references: Sequence[Sequence[str]], bert: Path | None = None
) -> dict[str, float]:
    """Score captions against one reference or more each, in lower case without punctuation.

    bleu_1 and bleu_4 (0 to 100, over the corpus), rouge_l (0 to 100, the best reference's F1),
    cider (10 is an exact match of rare words), and with the folder of a BERT bert_f1 (0 to 100, not
    rescaled). InputError if there is nothing to score.
    """
    if len(captions) != len(references) or not captions or not all(references):
        raise InputError(f"{len(captions)} captions and {len(references)} sets of references")
    said = [_plain(text) for text in captions]
    wanted = [[_plain(text) for text in texts] for texts in references]
    most = max(map(len, wanted))
    # sacrebleu wants a full table: a reference that is there already changes nothing.
    table = [[texts[min(i, len(texts) - 1)] for texts in wanted] for i in range(most)]
    bleu = {
        order: sacrebleu.BLEU(max_ngram_order=order, tokenize="none", force=True)
        .corpus_score(said, table)
        .score
        for order in (1, 4)
    }
    scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False)
    rouge = [
        max(scorer.score(text, caption)["rougeL"].fmeasure for text in texts)
        for caption, texts in zip(said, wanted, strict=True)
    ]
    rows = range(len(said))
    cider, _ = cider_library.Cider().compute_score(
        {row: wanted[row] for row in rows}, {row: [said[row]] for row in rows}
    )
    scores = {
        "bleu_1": float(bleu[1]),
        "bleu_4": float(bleu[4]),
        "rouge_l": 100 * sum(rouge) / len(rouge),
        "cider": float(cider),
    }
    if bert is not None:
        scores["bert_f1"] = _bert_score(said, wanted, bert)
    return scores


def _plain(text: str) -> str:
    return " ".join(_WORDS.sub(" ", text.lower()).split())


def _bert_score(captions: list[str], references: list[list[str]], folder: Path) -> float:
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder}: no folder of a BERT (config.json, tokenizer, weights)")
    try:
        import bert_score
        import transformers

        library: Any = transformers
        layers = library.AutoConfig.from_pretrained(folder, local_files_only=True).num_hidden_layers
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _, _, found = bert_score.score(
                captions, references, model_type=str(folder), num_layers=layers, device="cpu"
            )
    except ImportError:
        raise
    except Exception as error:  # of files that do not fit it raises whatever came first
        raise InputError(f"{folder}: BERTScore failed ({one_line(str(error), 200)})") from None
    return 100 * float(found.mean())
