"""How the C library builds: as C99's header says, small, and with nothing that it does not need."""

import filecmp
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from c_builds import CAPI, LIBRARIES, WARNINGS, build_library, compile_c, scratch

import motionrt
from motionrt import capi
from motionrt.capi.signatures import SIGNATURES

MAX_BYTES = 400_000
FINISHING = "test_capi_finishing.py"
STREAMS = "test_capi_streams.py"


def test_the_header_is_c99_and_includes_three_headers(tmp_path: Path) -> None:
    text = (CAPI / "motionrt.h").read_text()
    assert set(re.findall(r"#include (.+)", text)) == {
        "<stdbool.h>",
        "<stddef.h>",
        "<stdint.h>",
    }
    source = tmp_path / "header.c"
    source.write_text('#include "motionrt.h"\nint main(void) { return MRT_OK; }\n')
    compile_c("header", "-std=c99", *WARNINGS, source)


def test_the_header_is_c_plus_plus(tmp_path: Path) -> None:
    source = tmp_path / "header.cpp"
    source.write_text(
        '#include "motionrt.h"\nint main() { mrt_generate_options o; '
        "mrt_generate_options_init(&o); return o.num_samples - 1; }\n"
    )
    compile_c(
        "headerpp", "-std=c++11", "-Wall", "-Wextra", "-pedantic", "-Werror", source, compiler="c++"
    )


def test_the_sources_compile_without_a_warning() -> None:
    build_library(*WARNINGS)


def test_it_is_small_and_exports_its_own_names_alone() -> None:
    library = capi.library_path()
    assert library.stat().st_size < MAX_BYTES
    listed = subprocess.run(
        ["nm", "-D", "--defined-only", str(library)], capture_output=True, text=True, check=True
    )
    names = {line.split()[-1] for line in listed.stdout.splitlines()}
    assert {name for name in names if not name.startswith("_")} == set(SIGNATURES)


def test_the_tables_are_those_that_the_script_writes(tmp_path: Path) -> None:
    script = CAPI / "src" / "make_tables.py"
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True)
    for path in tmp_path.iterdir():
        assert filecmp.cmp(path, CAPI / "src" / path.name, shallow=False), path.name


@pytest.mark.parametrize(
    ("flags", "runtime"),
    [
        (("-fsanitize=address,undefined", "-fno-sanitize-recover=all"), "libasan.so"),
        (("-fsanitize=thread",), "libtsan.so"),
    ],
    ids=["address", "thread"],
)
@pytest.mark.slow
def test_sanitizers_find_nothing(flags: tuple[str, ...], runtime: str) -> None:
    library = build_library("-g", *flags)
    found = subprocess.run(
        ["cc", f"-print-file-name={runtime}"], capture_output=True, text=True, check=True
    ).stdout.strip()
    if runtime == "libtsan.so":
        # A program of its own: the interpreter under it is not made for the sanitizer.
        source = scratch() / "threads.c"
        source.write_text(THREADS)
        program = compile_c(
            "threads", "-g", *flags, source, library, f"-Wl,-rpath,{library.parent}", *LIBRARIES
        )
        bundle = Path(motionrt.__file__).parent / "assets" / "default"
        command = [str(program), str(bundle), str(capi.packaged_onnxruntime())]
        environment = {**os.environ, "TSAN_OPTIONS": "ignore_noninstrumented_modules=1"}
        # Addresses must lie where the sanitizer expects them.
        command = ["setarch", "-R", *command]
    else:
        tests = [Path(__file__).parents[2] / name for name in ("test_capi.py", FINISHING, STREAMS)]
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
        command += map(str, tests)
        environment = {
            **os.environ,
            "LD_PRELOAD": found,
            "MOTIONRT_LIBRARY": str(library),
            "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0",
        }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


THREADS = r"""
#include "motionrt.h"
#include <pthread.h>
#include <stdio.h>

static mrt_pipeline *shared;
static mrt_motion *clip;

static void *work(void *own) {
  mrt_generate_options options;
  mrt_finish_options finishing;
  int i;
  mrt_finish_options_init(&finishing);
  finishing.mirror = finishing.from_rest = finishing.in_place = true;
  finishing.fps = 24;
  mrt_generate_options_init(&options);
  options.num_frames = 10;
  options.num_steps = 2;
  options.seed = 1;
  for (i = 0; i < 4; i++) {
    mrt_motion *motion;
    mrt_status status = mrt_generate(shared, "walks", &options, &motion);
    if (status == MRT_OK) mrt_motion_free(motion);
    else if (status != MRT_BUSY) return (void *)mrt_last_error();
    if (mrt_generate(own, "jumps", &options, &motion) != MRT_OK) return (void *)mrt_last_error();
    mrt_motion_free(motion);
    if (mrt_motion_finish(clip, &finishing, NULL, &motion) != MRT_OK)
      return (void *)mrt_last_error();
    mrt_motion_free(motion);
    if (mrt_motion_blend(clip, clip, 0.2, &motion) != MRT_OK) return (void *)mrt_last_error();
    mrt_motion_free(motion);
  }
  return NULL;
}

int main(int count, char **arguments) {
  pthread_t threads[3];
  mrt_pipeline *own[3];
  mrt_load_options options;
  void *line;
  int i, failed = 0;
  (void)count;
  mrt_load_options_init(&options);
  options.threads = 1;
  options.onnxruntime = arguments[2];
  if (mrt_pipeline_load(arguments[1], &options, &shared)) return puts(mrt_last_error()), 1;
  for (i = 0; i < 3; i++)
    if (mrt_pipeline_load(arguments[1], &options, &own[i])) return puts(mrt_last_error()), 1;
  if (mrt_generate(shared, "walks", NULL, &clip)) return puts(mrt_last_error()), 1;
  for (i = 0; i < 3; i++) pthread_create(&threads[i], NULL, work, own[i]);
  for (i = 0; i < 3; i++) {
    pthread_join(threads[i], &line);
    if (line) failed = 1, puts(line);
  }
  for (i = 0; i < 3; i++) mrt_pipeline_free(own[i]);
  mrt_motion_free(clip);
  mrt_pipeline_free(shared);
  return failed;
}
"""
