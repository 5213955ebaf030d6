"""From process start to a BVH file with the embedded default: the C library and Python.

python benchmarks/capi.py [--seconds 5] [--rounds 7] [--write]

Both run in turn, each in a process of its own, files in the disk cache. Processor time is that of
all threads. What a call costs besides the graphs is the calling thread's own time, in a build that
subtracts the graphs' runs; it is warm, and the median of its calls.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from results import write_section

from motionrt import capi
from motionrt.runtime.benchmark import describe_machine
from motionrt.runtime.bundle.embedded import embedded_bundle

HEADING = "The C library: from start to BVH"
PROMPT = "a person walks forward"
CALLS = 15
PROGRAM = r"""
#include "motionrt.h"
#include <stdio.h>
#include <stdlib.h>

int main(int count, char **arguments) {
  mrt_pipeline *pipeline;
  mrt_motion *motion;
  mrt_load_options load;
  mrt_generate_options options;
  (void)count;
  mrt_load_options_init(&load);
  load.onnxruntime = arguments[2];
  mrt_generate_options_init(&options);
  options.seed = 1;
  options.seconds = atof(arguments[3]);
  if (mrt_pipeline_load(arguments[1], &load, &pipeline) ||
      mrt_generate(pipeline, "a person walks forward", &options, &motion) ||
      mrt_motion_save(motion, arguments[4]))
    return fprintf(stderr, "%s\n", mrt_last_error()), 1;
  return 0;
}
"""
TIMED = r"""
#define _POSIX_C_SOURCE 200809L
#include "ort.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double in_graphs;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void __real_session_run(call *c, arena *from, ort_session *session, const tensor *inputs,
                        size_t num_inputs, tensor *outputs, size_t num_outputs);
void __wrap_session_run(call *c, arena *from, ort_session *session, const tensor *inputs,
                        size_t num_inputs, tensor *outputs, size_t num_outputs) {
  double start = now();
  __real_session_run(c, from, session, inputs, num_inputs, outputs, num_outputs);
  in_graphs += now() - start;
}

int main(int count, char **arguments) {
  mrt_pipeline *pipeline;
  mrt_load_options load;
  mrt_generate_options options;
  int i, calls = atoi(arguments[4]);
  (void)count;
  mrt_load_options_init(&load);
  load.onnxruntime = arguments[2];
  mrt_generate_options_init(&options);
  options.seconds = atof(arguments[3]);
  options.postprocess = atoi(arguments[5]);
  if (mrt_pipeline_load(arguments[1], &load, &pipeline)) return puts(mrt_last_error()), 1;
  for (i = 0; i <= calls; i++) {
    mrt_motion *motion;
    double start = now();
    in_graphs = 0;
    options.seed = i;
    if (mrt_generate(pipeline, "a person walks forward", &options, &motion))
      return puts(mrt_last_error()), 1;
    if (i) printf("%.6f\n", (now() - start - in_graphs) * 1e3);
    mrt_motion_free(motion);
  }
  mrt_pipeline_free(pipeline);
  return 0;
}
"""


def build(folder: Path, name: str, source: str, *arguments: object) -> Path:
    """Compile a program."""
    file, header = folder / f"{name}.c", capi.library_folder()
    file.write_text(source, encoding="utf-8")
    command = ["cc", "-std=c11", "-O2", "-fno-math-errno", "-I", header, "-I", header / "src", file]
    command += [*arguments, "-o", folder / name]
    subprocess.run([str(word) for word in command], check=True)
    return folder / name


def run(command: list[str]) -> dict[str, float]:
    """Run a process; return its wall and processor time in seconds and its peak memory in MB."""
    start = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command[0]} failed")
    return {
        "wall": time.perf_counter() - start,
        "processor": used.ru_utime + used.ru_stime,
        "memory": used.ru_maxrss / 1024 if sys.platform != "darwin" else used.ru_maxrss / 2**20,
    }


def beside_graphs(folder: Path, seconds: float) -> dict[str, float]:
    """Measure what calls cost besides the graphs, in milliseconds, with and without clean-up."""
    sources = sorted((capi.library_folder() / "src").glob("*.c"))
    wrapped = ["-Wl,--wrap=session_run", "-lm", "-ldl", "-lpthread"]
    program = build(folder, "timed", TIMED, *sources, *wrapped)
    found = {}
    for name, clean in (("none", 0), ("clean-up", 1)):
        arguments = [embedded_bundle(), capi.packaged_onnxruntime(), seconds, CALLS, clean]
        told = subprocess.run(
            [str(word) for word in (program, *arguments)],
            capture_output=True,
            text=True,
            check=True,
        )
        found[name] = statistics.median(map(float, told.stdout.split()))
    return found


def main() -> None:
    """Measure, print, and with --write keep it in RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    machine = describe_machine()
    runs: dict[str, list[dict[str, float]]] = {"the C library": [], "Python": []}
    with tempfile.TemporaryDirectory() as scratch:
        folder, library = Path(scratch), capi.library_path()
        program = build(folder, "start", PROGRAM, library, f"-Wl,-rpath,{library.parent}")
        clip = f"{options.seconds:g}"
        commands: dict[str, list[object]] = {
            "the C library": [program, embedded_bundle(), capi.packaged_onnxruntime(), clip],
            "Python": [sys.executable, "-m", "motionrt", "gen", PROMPT, "--duration", clip],
        }
        commands["the C library"].append(folder / "c.bvh")
        commands["Python"] += ["--seed", "1", "--bvh", "--quiet", "-o", folder / "python"]
        for _ in range(options.rounds + 1):
            for name, command in commands.items():
                runs[name].append(run([str(word) for word in command]))
        own = beside_graphs(folder, options.seconds)
    rows, ratios = "", {}
    for measure, unit, digits in (("wall", "s", 2), ("processor", "s", 2), ("memory", "MB", 0)):
        values = {name: [row[measure] for row in each[1:]] for name, each in runs.items()}
        c, python = (statistics.median(values[name]) for name in commands)
        ratios[measure] = python / c
        label = {"wall": "process start to written BVH", "processor": "processor time"}
        rows += (
            f"| {label.get(measure, 'peak memory')} | {c:.{digits}f} {unit} | "
            f"{python:.{digits}f} {unit} | {ratios[measure]:.1f} |\n"
        )
    text = (
        f"{time.strftime('%Y-%m-%d')}, {machine['processor']}, {machine['cores']} cores, load "
        f"average {machine['load_average']:.1f}; a {options.seconds:g}-second clip; medians of "
        f"{options.rounds} runs in turn; `python benchmarks/capi.py`.\n\n"
        "| | the C library | Python | ratio |\n| --- | ---: | ---: | ---: |\n"
        f"{rows}\n"
        f"Besides its graphs a call of the C library takes {own['none']:.2f} ms of its thread, "
        f"{own['clean-up']:.1f} ms with post-processing (medians of {CALLS}).\n"
    )
    print(text)
    print(json.dumps({"runs": runs, "beside graphs, ms": own}), file=sys.stderr)
    if options.write:
        write_section(HEADING, text)


if __name__ == "__main__":
    main()
