"""Training windows: encoded clips end to end, and a table of captioned pieces of them."""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from motionrt.runtime.body.rotation import quaternion_to_matrix
from motionrt.runtime.body.skeleton import load_skeleton
from motionrt.runtime.errors import InputError
from motionrt.runtime.files import atomic_file
from motionrt.runtime.kimodo.features import MotionFeatures
from motionrt.runtime.text.prompt import clean_prompt
from motionrt.train.default.captions import EXCLUDED_TAGS, action_of, captions_of
from motionrt.train.default.clips import (
    Clip,
    bend,
    headings,
    hold_end,
    lengthen,
    mirror,
    read_clips,
    resample,
)
from motionrt.train.default.measures import measure

Array = NDArray[np.float32]

DATASET_VERSION = 11
"""Raised whenever windows, captions or features change, so that caches are made anew."""

ACTION_WEIGHTS = {
    "walk_slow": 0.07,
    "walk": 0.08,
    "walk_fast": 0.07,
    "walk_turn_left": 0.07,
    "walk_turn_right": 0.07,
    "walk_circle": 0.06,
    "crouch_walk": 0.025,
    "walk_start": 0.01,
    "walk_stop": 0.015,
    "walk_other": 0.01,
    "walk_back": 0.015,
    "sidestep": 0.01,
    "run": 0.05,
    "run_circle": 0.015,
    "stand": 0.04,
    "stand_posed": 0.015,
    "turn": 0.03,
    "jump": 0.07,
    "kick": 0.09,
    "punch": 0.16,
    "fight_idle": 0.01,
    "sit_down": 0.045,
    "stand_up": 0.015,
    "seated": 0.015,
    "dance": 0.13,
    "wave": 0.05,
    "fall": 0.03,
    "other": 0.04,
}
"""How often each action is drawn; a default is judged by its walk."""

CONTACT_MAX_SPEED_MPS = 0.25
"""Slower than this and low: the foot stands. Wider than the encoder's own, for noisy capture."""

DAMAGED_CLIPS = {"c_tr_walkx_48", "c_tr_walkx_50"}
"""Walks whose feet slide at half the body's speed, and one that topples over half way."""

STRAIGHT_DEG = 25.0
"""A walk that turns less than this may be bent."""
BENDS_DEG = (60.0, 150.0)
"""By how much a walk is bent: little recorded walking turns."""

MIN_CIRCLE_SECONDS, MIN_CIRCLE_RADIUS_M = 3.5, 0.6
"""A walk is bent into a circle in no shorter time and no tighter."""
WAVING_HAND_M = 0.3
"""Whoever waves has a hand at most so far below where it comes at its highest."""

MAX_DANCES_ALIKE = 5
"""Dances with the same words: a small model learns few of them well or many badly."""

VARIANT_WEIGHTS = {"daz": 0.5, "kay": 0.5, "qpl": 0.4, "qch": 0.5, "qcy": 0.5}
"""Less natural conversions and rigs are drawn less often."""


NUM_WORKERS = os.cpu_count() or 1
Row = tuple[int, int, str, str, float, list[str]]
"""A window: start, frames, action, clip, weight, captions."""


@dataclass(frozen=True)
class DatasetConfig:
    """What windows are cut and how many words each is given."""

    fps: float = 20.0
    window_frames: tuple[int, ...] = (40, 60, 80, 100, 120)
    min_frames: int = 28
    stride_frames: int = 10
    captions_per_window: int = 12
    lengthened_seconds: float = 7.0
    locomotion_tempos: tuple[float, ...] = (0.85, 1.0, 1.15)
    other_tempos: tuple[float, ...] = (0.93, 1.07)
    splits: tuple[str, ...] = ("train", "val")
    seed: int = 0


@dataclass
class Dataset:
    """Encoded clips and their windows; features are not normalised."""

    features: Array
    """(F, D), every clip's frames end to end."""
    starts: NDArray[np.int64]
    """(N,) first frame of each window."""
    lengths: NDArray[np.int64]
    """(N,) frames of each window."""
    weights: NDArray[np.float64]
    """(N,) how often each window is drawn; they add up to 1."""
    actions: list[str]
    """N names, keys of `ACTION_WEIGHTS`."""
    captions: NDArray[np.int64]
    """(N, C) indices into `texts`."""
    texts: list[str]
    config: DatasetConfig = field(default_factory=DatasetConfig)

    @property
    def num_windows(self) -> int:
        """How many windows there are."""
        return len(self.starts)

    def meanings(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """List which text is said of what: pairs (P, 2) of text and meaning, and how often (P,).

        A meaning is an action with the sides that the text names; of actions that gather many
        different deeds ("other", "dance"), each group of windows with the same words is one.
        """
        index: dict[tuple[str, ...], int] = {}
        pairs: dict[tuple[int, int], float] = defaultdict(float)
        sides = [tuple(side for side in ("left", "right") if side in t) for t in self.texts]
        rows = zip(self.actions, self.captions, self.weights, strict=True)
        for action, row, weight in rows:
            group = min(self.texts[i] for i in row) if action in ("other", "dance") else ""
            for text in map(int, row):
                meaning = (action, group, *sides[text])
                pairs[text, index.setdefault(meaning, len(index))] += weight
        return np.array(list(pairs), np.int64), np.array(list(pairs.values()))

    def summary(self) -> str:
        """Describe the windows by action, one line each."""
        total: dict[str, float] = defaultdict(float)
        for action, weight in zip(self.actions, self.weights, strict=True):
            total[action] += weight
        counts = Counter(self.actions)
        lines = [f"{name:16} {counts[name]:6} windows, drawn {total[name]:.1%}" for name in counts]
        return "\n".join(sorted(lines))

    def save(self, path: Path) -> None:
        """Write everything to one .npz file."""
        with atomic_file(path) as temporary, temporary.open("wb") as file:
            np.savez(
                file,
                features=self.features,
                starts=self.starts,
                lengths=self.lengths,
                weights=self.weights,
                captions=self.captions,
                words=np.array(json.dumps({"actions": self.actions, "texts": self.texts})),
                config=np.array(json.dumps(asdict(self.config))),
            )

    @staticmethod
    def load(path: Path) -> Dataset:
        """Read what `save` wrote."""
        arrays = dict(np.load(path))
        words = json.loads(str(arrays["words"]))
        values = json.loads(str(arrays["config"]))
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        names = ("features", "starts", "lengths", "weights", "captions")
        return Dataset(
            **{name: arrays[name] for name in names}, **words, config=DatasetConfig(**values)
        )


def dataset_key(folders: Sequence[Path], config: DatasetConfig) -> str:
    """Name the data and settings that a dataset is made from, for caching."""
    digest = hashlib.sha256(json.dumps([DATASET_VERSION, asdict(config)]).encode())
    digest.update(json.dumps(sorted(ACTION_WEIGHTS.items())).encode())
    for folder in folders:
        digest.update(folder.name.encode())
        for name in ("meta.json", *(f"{split}.npz" for split in config.splits)):
            path = folder / name
            if not path.is_file():
                raise InputError(f"{folder}: no motion data folder ({name} is missing)")
            digest.update(f"{name} {path.stat().st_size}".encode())
            digest.update(str(zlib.crc32(path.read_bytes())).encode())
    return digest.hexdigest()[:16]


def build_dataset(folders: Sequence[Path], config: DatasetConfig) -> Dataset:
    """Encode, mirror, cut and caption all clips of the data folders."""
    originals = _thinned(
        clip
        for folder in folders
        for clip in read_clips(folder, config.splits)
        if not set(clip.tags) & EXCLUDED_TAGS and clip.name not in DAMAGED_CLIPS
    )
    features: list[Array] = []
    rows: list[Row] = []
    offset = 0
    work = partial(_prepare, config=config)
    for prepared in _in_parallel(work, originals):
        for encoded, windows in prepared:
            features.append(encoded)
            rows += [(offset + start, *row) for start, *row in windows]  # type: ignore[misc]
            offset += len(encoded)
    if not rows:
        raise InputError(f"{', '.join(map(str, folders))}: no window long enough to train on")
    index: dict[str, int] = {}
    captions = [[index.setdefault(text, len(index)) for text in row[5]] for row in rows]
    return Dataset(
        features=np.concatenate(features),
        starts=np.array([row[0] for row in rows], np.int64),
        lengths=np.array([row[1] for row in rows], np.int64),
        weights=_weights(rows),
        actions=[row[2] for row in rows],
        captions=np.array(captions, np.int64),
        texts=list(index),
        config=config,
    )


def _thinned(clips: Iterable[Clip]) -> list[Clip]:
    """Leave out dances of which there are enough with the same words."""
    alike: Counter[str] = Counter()
    kept = []
    for clip in clips:
        if "dance" in clip.tags:
            alike[clip.captions[0]] += 1
            if alike[clip.captions[0]] > MAX_DANCES_ALIKE:
                continue
        kept.append(clip)
    return kept


def _in_parallel(
    work: Callable[[Clip], list[tuple[Array, list[Row]]]], clips: Sequence[Clip]
) -> Iterator[list[tuple[Array, list[Row]]]]:
    """Work on clips in their order, on all processors if there are enough clips."""
    if len(clips) < 8 * NUM_WORKERS or NUM_WORKERS < 2:
        yield from map(work, clips)
        return
    # Processes that are forked would inherit the locks of torch's threads.
    with ProcessPoolExecutor(NUM_WORKERS, get_context("spawn")) as pool:
        yield from pool.map(work, clips, chunksize=4)


def _prepare(original: Clip, config: DatasetConfig) -> list[tuple[Array, list[Row]]]:
    """Encode every version of a clip and list its windows, if it has any."""
    encoder = MotionFeatures(load_skeleton("cmu22"), config.fps)
    weight = VARIANT_WEIGHTS.get(original.variant, 1.0)
    result = []
    for clip in _versions(original, config):
        encoded = _encode(clip, encoder)
        rows: list[Row] = [
            (start, length, action, original.name, weight, texts)
            for start, length, action, texts in _windows(clip, encoded, encoder, config)
        ]
        if rows:
            result.append((encoded, rows))
    return result


def _versions(original: Clip, config: DatasetConfig) -> list[Clip]:
    """Give every version of a clip: lengthened, at several tempos, bent, each also mirrored."""
    skeleton = load_skeleton("cmu22")
    tags = set(original.tags)
    walks = tags <= {"walk", "run", "sprint", "look", "walk_back", "zombie"}
    crouches = {"crouch", "walk"} <= tags
    clip = original
    frames = int(config.lengthened_seconds * clip.fps)
    if (walks or crouches) and clip.num_frames < frames:
        clip = lengthen(clip, skeleton, frames) or clip
    if clip.folder != "animations":
        clip = _on_the_floor(clip)
    clips = [clip]
    if "fall" in tags:
        clips = [hold_end(clip, frames)]
    if tags & {"wave", "greet"} and clip.folder == "animations":
        waving = lengthen(clip, skeleton, frames, _hand_up(clip))
        clips += [waving] if waving else []
    tempos = config.locomotion_tempos if walks or crouches else config.other_tempos
    versions = [resample(clip, config.fps, tempo) for clip in clips for tempo in tempos]
    if walks and tags & {"walk", "run"}:
        straight = resample(clip, config.fps)
        if "walk" in tags:
            versions += bent(straight, config.seed)
        versions += circles(straight, config.window_frames)
    return [side for version in versions for side in (version, mirror(version, skeleton))]


def bent(clip: Clip, seed: int) -> list[Clip]:
    """Bend a straight walk into an even curve, and into a straight walk with a turn; else none."""
    skeleton = load_skeleton("cmu22")
    seconds = clip.num_frames / clip.fps
    if seconds < 2.5 or not is_straight(clip):
        return []
    random = np.random.default_rng([seed, zlib.crc32(clip.name.encode())])
    curve, corner = np.radians(random.uniform(*BENDS_DEG, 2))
    time = np.linspace(0, 1, clip.num_frames)
    length = random.uniform(1.5, 2.5) / seconds
    begin = random.uniform(0.1, max(0.1, 0.9 - length))
    share = np.clip((time - begin) / length, 0, 1)
    turns = (curve * time, corner * (3 * share**2 - 2 * share**3))
    return [bend(clip, skeleton, turn.astype(np.float32)) for turn in turns]


def circles(clip: Clip, window_frames: Sequence[int]) -> list[Clip]:
    """Bend a straight walk or run into circles, one for each window that one fits into."""
    skeleton = load_skeleton("cmu22")
    if not is_straight(clip):
        return []
    path = np.linalg.norm(np.diff(clip.root[:, [0, 2]], axis=0), axis=-1).mean()
    result = []
    for frames in window_frames:
        radius = path * frames / (2 * np.pi)
        long_enough = MIN_CIRCLE_SECONDS * clip.fps <= frames <= clip.num_frames
        if long_enough and radius >= MIN_CIRCLE_RADIUS_M:
            turn = np.linspace(0, 2 * np.pi * (clip.num_frames - 1) / (frames - 1), clip.num_frames)
            result.append(
                replace(bend(clip, skeleton, turn.astype(np.float32)), circle_frames=frames)
            )
    return result


def is_straight(clip: Clip) -> bool:
    """Say whether a clip faces one way throughout."""
    skeleton = load_skeleton("cmu22")
    joints, _ = skeleton.forward_kinematics(quaternion_to_matrix(clip.rotations), clip.root)
    heading = np.degrees(headings(joints, skeleton))
    turn = abs(heading[-10:].mean() - heading[:10].mean())
    return bool(np.ptp(heading) <= 2 * STRAIGHT_DEG and turn <= STRAIGHT_DEG)


def _hand_up(clip: Clip) -> NDArray[np.bool_]:
    """Say in which frames (T,) the higher hand is about as high as it comes."""
    skeleton = load_skeleton("cmu22")
    joints, _ = skeleton.forward_kinematics(quaternion_to_matrix(clip.rotations), clip.root)
    hands = [skeleton.left_hand_joints[0], skeleton.right_hand_joints[0]]
    height = joints[:, hands, 1].max(1)
    return np.asarray(height > height.max() - WAVING_HAND_M)


def _on_the_floor(clip: Clip) -> Clip:
    """Move a recording up or down by at most 8 cm so that its lower toe stands at 2 cm."""
    skeleton = load_skeleton("cmu22")
    joints, _ = skeleton.forward_kinematics(quaternion_to_matrix(clip.rotations), clip.root)
    toes = [skeleton.foot_joints[1], skeleton.foot_joints[3]]
    low = float(np.percentile(joints[:, toes, 1].min(-1), 15))
    root = clip.root.copy()
    root[:, 1] += np.clip(0.02 - low, -0.08, 0.08)
    return Clip(**{**clip.__dict__, "root": root})


def _encode(clip: Clip, encoder: MotionFeatures) -> Array:
    features = encoder.encode(quaternion_to_matrix(clip.rotations), clip.root)
    joints = encoder.decode(features)["posed_joints"]
    feet = list(encoder.skeleton.foot_joints)
    velocities = features[:, encoder.slices["velocities"]].reshape(len(features), -1, 3)
    slow = np.linalg.norm(velocities[:, feet], axis=-1) < CONTACT_MAX_SPEED_MPS
    low = np.asarray(joints)[:, feet, 1] < 0.10
    features[:, encoder.slices["foot_contacts"]] = slow & low
    return features


def _windows(
    clip: Clip, features: Array, encoder: MotionFeatures, config: DatasetConfig
) -> list[tuple[int, int, str, list[str]]]:
    frames = len(features)
    if frames < config.min_frames:
        return []
    spans: list[tuple[int, int]] = []
    for length in config.window_frames:
        if frames >= length:
            last = frames - length
            count = max(1, -(-last // config.stride_frames) + 1)
            spans += [
                (int(start), length) for start in np.unique(np.linspace(0, last, count, dtype=int))
            ]
    whole = (0, min(frames, max(config.window_frames)))
    if whole not in spans:
        spans.append(whole)
    decoded = encoder.decode(features)
    joints = np.asarray(decoded["posed_joints"], np.float32)
    cos, sin = features[:, 3], features[:, 4]
    heading = np.unwrap(np.arctan2(sin, cos)).astype(np.float32)
    result = []
    for start, length in spans:
        window = slice(start, start + length)
        if not np.isfinite(joints[window]).all():
            continue
        m = measure(
            joints[window], features[window][:, [0, 2]], heading[window], encoder.skeleton, clip.fps
        )
        action = action_of(clip, m)
        if action is None:
            continue
        if clip.circle_frames and (length != clip.circle_frames or "circle" not in action):
            continue
        if clip.bent and not clip.circle_frames and action != "walk_turn":
            continue  # neither straight nor a turn: it has no words of its own
        if action == "other" and clip.folder == "animations" and length < 0.6 * frames:
            continue
        seed = zlib.crc32(f"{clip.name} {clip.mirrored} {clip.tempo} {start} {length}".encode())
        random = np.random.default_rng([config.seed, seed])
        texts = captions_of(action, clip, m, random, config.captions_per_window)
        if action == "walk":
            action = "walk_slow" if m.speed < 0.85 else "walk_fast" if m.speed > 1.5 else "walk"
        if action == "walk_turn":
            action = "walk_turn_left" if m.turn_deg > 0 else "walk_turn_right"
        result.append((start, length, action, [clean_prompt(text) for text in texts]))
    return result


def _weights(rows: Sequence[Row]) -> NDArray[np.float64]:
    """Share each action's weight among its clips by the root of their windows."""
    counts = Counter((row[2], row[3]) for row in rows)
    raw = np.array([row[4] / np.sqrt(counts[row[2], row[3]]) for row in rows])
    totals: dict[str, float] = defaultdict(float)
    for row, weight in zip(rows, raw, strict=True):
        totals[row[2]] += weight
    weights: NDArray[np.float64] = np.array(
        [ACTION_WEIGHTS[row[2]] * w / totals[row[2]] for row, w in zip(rows, raw, strict=True)]
    )
    weights /= weights.sum()
    return weights
