"""Options, jobs, GPUs and interruptions of a recipe's stages, through its script and stand-ins of the commands."""

import functools
import itertools
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
# Writes down what it is called with and what it sees, and does what $DO says.
STAND_IN = """#!/bin/bash
name=${0##*/}
if [ "$1" = --label ]; then echo "made, 10 images"; exit; fi
{ printf '%q ' "$name" "$@"; echo; } >>"$CALLS"
echo "$name ${CUDA_VISIBLE_DEVICES-none}" >>"$CALLS.gpus"
eval "${DO:-}"
"""


class Recipe:
    """A recipe in a folder with a blank, called from another folder, with stand-ins of vqbn's commands."""

    def __init__(self, folder: Path):
        self.top = folder / "a checkout"
        self.recipe = self.top / "egs/cifar10"
        shutil.copytree(TOP / "utils", self.top / "utils")
        shutil.copytree(
            TOP / "egs/cifar10", self.recipe, ignore=shutil.ignore_patterns("exp", "data", "results", "downloads")
        )
        self.caller = folder / "where I am"
        self.caller.mkdir()
        self.calls = folder / "calls"
        programs = folder / "programs"
        programs.mkdir()
        for name in ("train", "decode", "score", "report", "prepare-cifar10"):
            (programs / f"vqbn-{name}").write_text(STAND_IN)
            (programs / f"vqbn-{name}").chmod(0o755)
        # As in an active environment: there is nothing to set up.
        path = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.environment = os.environ | {"PATH": path, "CALLS": str(self.calls), "PYTHONPATH": str(TOP)}
        self.environment.pop("CUDA_VISIBLE_DEVICES", None)
        self.programs = programs

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen:
        return subprocess.Popen(
            [self.recipe / "run.sh", "--results_name", "none", *arguments],
            cwd=self.caller,
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # Also where the tests run in the background, which ignores interrupts.
            preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        )

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        process = self.start(*arguments, **environment)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def called(self, name: str) -> list[list[str]]:
        """The arguments of each call of a command."""
        calls = [shlex.split(line) for line in self.calls.read_text().splitlines()] if self.calls.exists() else []
        return [call[1:] for call in calls if call[0] == f"vqbn-{name}"]

    def gpus(self) -> list[str]:
        return [line.split()[1] for line in Path(f"{self.calls}.gpus").read_text().splitlines()]


@pytest.fixture
def recipe(tmp_path):
    return Recipe(tmp_path)


TRAINING = ("--data", "mini", "--stage", "3", "--stop_stage", "3", "--expdir", "exp")
DECODING = ("--data", "mini", "--stage", "4", "--stop_stage", "4", "--expdir", "exp")


def values(call: list[str], option: str) -> list[str]:
    return [value for name, value in itertools.pairwise(call) if name == option]


# Options


def test_stages_in_the_wrong_order_are_refused(recipe):
    for arguments in (("--stage", "4", "--stop_stage", "2"), ("--stage", "7")):
        result = recipe.run("--data", "mini", *arguments)
        assert result.returncode == 1
        (line,) = result.stderr.splitlines()
        assert f"--stage {arguments[1]} comes after --stop_stage" in line


def test_a_configuration_with_blanks_in_its_path_is_one_file_of_the_callers(recipe):
    (recipe.caller / "my conf").mkdir()
    mine = recipe.caller / "my conf/small one.yaml"
    mine.write_text("batch_size: 4\n")
    result = recipe.run(*TRAINING, "--train_config", "my conf/small one.yaml")
    assert result.returncode == 0, result.stderr
    assert values(recipe.called("train")[-1], "--config")[0] == str(mine)
    # One of several is quoted; what the caller's folder doesn't have is the recipe's.
    result = recipe.run(*TRAINING, "--train_config", "conf/base.yaml 'my conf/small one.yaml'")
    assert result.returncode == 0, result.stderr
    assert values(recipe.called("train")[-1], "--config")[:2] == ["conf/base.yaml", str(mine)]


def test_the_callers_configuration_comes_before_the_recipes_but_only_if_it_was_given(recipe):
    (recipe.caller / "conf").mkdir()
    (recipe.caller / "conf/base.yaml").write_text("batch_size: 4\n")
    assert recipe.run(*TRAINING).returncode == 0
    assert values(recipe.called("train")[-1], "--config")[:2] == ["conf/base.yaml", "conf/mini.yaml"]
    assert recipe.run(*TRAINING, "--train_config", "conf/base.yaml").returncode == 0
    assert values(recipe.called("train")[-1], "--config")[0] == str(recipe.caller / "conf/base.yaml")


def test_a_configuration_that_is_nowhere_ends_before_any_work(recipe):
    result = recipe.run(*TRAINING, "--train_config", "conf/nowhere.yaml")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert "--train_config: there is no file conf/nowhere.yaml in " in line
    assert str(recipe.caller) in line
    assert not recipe.calls.exists()


def test_closing_lines_can_be_pasted_where_the_user_stands(recipe):
    result = recipe.run("--data", "mini", "--stage", "3", "--stop_stage", "4", "--expdir", "my exp")
    assert result.returncode == 0, result.stderr
    (said,) = [line for line in result.stdout.splitlines() if "stage 4: done" in line]
    assert said.endswith("wrote my\\ exp/*/decode_*/")
    result = recipe.run("--data", "mini", "--stage", "4", "--stop_stage", "4")
    (said,) = [line for line in result.stdout.splitlines() if "stage 4: done" in line]
    where = said.partition("wrote ")[2]
    pasted = subprocess.run(["bash", "-c", f"cd {where.partition('*')[0]} && pwd"], cwd=recipe.caller, text=True,
                            capture_output=True, check=True)  # fmt: skip
    assert pasted.stdout.strip() == str(recipe.recipe / "exp/mini")


# Jobs


def test_words_of_train_options_may_have_blanks(recipe):
    result = recipe.run(*TRAINING, "--train_options", "--a 'b  c' --d $(touch ran) *")
    assert result.returncode == 0, result.stderr
    assert recipe.called("train")[0][-6:] == ["--a", "b  c", "--d", "$(touch", "ran)", "*"]
    assert not (recipe.recipe / "ran").exists()


def scheduler(recipe, name="sbatch"):
    """A scheduler that writes down its options, one a line and an empty line after each job, and runs the script."""
    program = recipe.programs / name
    program.write_text('#!/bin/bash\nprintf "%s\\n" "$@" "" >>"$CALLS.$SCHEDULER"\nexec bash "${@: -1}"\n')
    program.chmod(0o755)
    recipe.environment["SCHEDULER"] = name
    return lambda: [job.splitlines() for job in Path(f"{recipe.calls}.{name}").read_text().strip().split("\n\n")]


def test_training_and_decoding_ask_the_scheduler_for_different_things(recipe):
    jobs = scheduler(recipe)
    environment = {
        "VQBN_BACKEND": "slurm",
        "VQBN_JOB_OPTIONS": '--gpu 1 --queue_opts "-p long -A lab"',
        "VQBN_TRAIN_OPTIONS": "--time 24:00:00",
        "VQBN_DECODE_OPTIONS": "--mem 4G",
    }
    for stage in (TRAINING, DECODING):
        result = recipe.run(*stage, **environment)
        assert result.returncode == 0, result.stdout + result.stderr
    train, decode = jobs()
    for job in (train, decode):
        at = job.index("-p")
        assert job[at : at + 4] == ["-p", "long", "-A", "lab"]
    assert "--gres=gpu:1" in train
    assert values(train, "--time") == ["24:00:00"]
    assert not [word for word in decode if "gpu" in word]
    assert "--time" not in decode
    assert values(decode, "--mem") == ["4G"]
    # A job is named after its run.
    assert values(train, "--job-name") == ["bn_reest_lr-8x128_seed1"]
    assert values(decode, "--job-name") == ["bn_reest_lr-8x128_seed1-decode_test"]


def test_a_command_with_options_in_cmd_sh_is_a_command_with_options(recipe):
    jobs = scheduler(recipe)
    with (recipe.recipe / "cmd.sh").open("a") as file:
        file.write('export train_cmd="$VQBN_ROOT/utils/run_job.sh --backend slurm --mem 8G"\n')
    assert recipe.run(*TRAINING).returncode == 0
    ((*job, _),) = jobs()
    assert values(job, "--mem") == ["8G"]
    assert len(recipe.called("train")) == 1


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("", "found nothing"),
        ("queue.pl --mem 8G", "there is no command queue.pl"),
        ("'run.pl", "found 'run.pl, expected closed quotes"),
    ],
)
def test_a_wrong_command_in_cmd_sh_is_named(recipe, command, said):
    with (recipe.recipe / "cmd.sh").open("a") as file:
        file.write(f'export train_cmd="{command}"\n')
    result = recipe.run(*TRAINING)
    assert result.returncode == 1
    assert f"error: train_cmd in cmd.sh: {said}" in result.stderr
    assert not recipe.calls.exists()


def test_the_log_of_a_run_that_goes_on_is_kept(recipe):
    assert recipe.run(*TRAINING, DO="echo first; exit 3").returncode == 1
    assert recipe.run(*TRAINING, DO="echo second").returncode == 0
    lines = (recipe.caller / "exp/bn_reest_lr-8x128_seed1/job.log").read_text().splitlines()
    assert [line for line in lines if line in ("first", "second")] == ["first", "second"]
    assert [line.split()[4] for line in lines if line.startswith("# ended with status")] == ["3", "0"]


# GPUs

THREE_RUNS = (*TRAINING, "--variants", "bn bn_lr bn_ema")


def test_trainings_at_a_time_have_gpus_of_their_own_among_the_visible(recipe):
    result = recipe.run(*THREE_RUNS, "--nj", "3", "--ngpu", "2", CUDA_VISIBLE_DEVICES="7,5,GPU-a,3,1,0", DO="sleep 0.3")
    assert result.returncode == 0, result.stderr
    assert sorted(recipe.gpus()) == ["1,0", "7,5", "GPU-a,3"]


def test_no_more_trainings_at_a_time_than_gpus(recipe):
    overlap = 'mkdir "$CALLS.at_work" || touch "$CALLS.overlap"; sleep 0.2; rmdir "$CALLS.at_work"'
    result = recipe.run(*THREE_RUNS, "--nj", "2", "--ngpu", "1", CUDA_VISIBLE_DEVICES="4", DO=overlap)
    assert result.returncode == 0, result.stderr
    assert "GPUs here: 1; trainings at a time, of 1 each: 1" in result.stdout
    assert recipe.gpus() == ["4"] * 3
    assert not Path(f"{recipe.calls}.overlap").exists()


def test_a_gpu_that_a_run_leaves_is_the_next_ones(recipe):
    # The first run goes on; the second and the third come one after the other on the GPU beside it.
    slow = 'case "$*" in *train_bn.yaml*) sleep 1.5 ;; *) sleep 0.1 ;; esac'
    result = recipe.run(*THREE_RUNS, "--nj", "2", "--ngpu", "1", CUDA_VISIBLE_DEVICES="0,1", DO=slow)
    assert result.returncode == 0, result.stderr
    assert sorted(recipe.gpus()) == ["0", "1", "1"]


def test_the_driver_is_asked_which_gpus_there_are(recipe):
    (recipe.programs / "nvidia-smi").write_text('#!/bin/sh\n[ "$1" = --query-gpu=index ] && printf "0\\n1\\n"\n')
    (recipe.programs / "nvidia-smi").chmod(0o755)
    result = recipe.run(*TRAINING, "--seeds", "1 2", "--nj", "2", "--ngpu", "1", DO="sleep 0.3")
    assert result.returncode == 0, result.stderr
    assert sorted(recipe.gpus()) == ["0", "1"]


def test_the_scheduler_chooses_the_gpus_of_its_jobs(recipe):
    scheduler(recipe)
    result = recipe.run(*THREE_RUNS, "--ngpu", "1", CUDA_VISIBLE_DEVICES="4", VQBN_BACKEND="slurm", DO="sleep 0.1")
    assert result.returncode == 0, result.stderr
    assert "GPUs here" not in result.stdout
    # As the stand-in of the scheduler hands on its environment.
    assert recipe.gpus() == ["4"] * 3


def test_without_gpus_nothing_is_chosen(recipe):
    assert recipe.run(*TRAINING).returncode == 0
    assert recipe.gpus() == ["none"]


# Interruptions

# A command that answers an interrupt as vqbn's do, and says when it is at work.
INTERRUPTED = """
trap 'echo interrupted >>"$CALLS.stopped"; exit 130' INT
touch "$CALLS.$$.at_work"
for _ in {1..300}; do sleep 0.1; done
"""


def wait_for(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("stage", "seeds", "number"),
    [
        (3, "1", signal.SIGINT),
        (3, "1 2", signal.SIGINT),
        (4, "1", signal.SIGINT),
        (5, "1 2", signal.SIGINT),
        (3, "1 2", signal.SIGTERM),
        (3, "1", signal.SIGHUP),
    ],
)
def test_an_interrupt_stops_the_runs_and_is_one_line(recipe, stage, seeds, number):
    for seed in seeds.split():
        folder = recipe.caller / f"exp/bn_reest_lr-8x128_seed{seed}"
        folder.mkdir(parents=True)
        (folder / "command.txt").write_text("run.sh\n")
    process = recipe.start(
        *("--data", "mini", "--expdir", "exp", "--stage", str(stage), "--stop_stage", str(stage), "--seeds", seeds),
        DO=INTERRUPTED,
    )
    runs = len(seeds.split())
    wait_for(lambda: len(list(recipe.calls.parent.glob("calls.*.at_work"))) == runs)
    # As a terminal does: to the script and all that it has in the foreground. Other signals come to the script alone.
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == (130 if number == signal.SIGINT else 128 + number)
    if number == signal.SIGINT:
        (line,) = err.splitlines()
        assert line.endswith(f"run.sh: stopped in stage {stage}; the same command goes on")
    # Nobody goes on in the background.
    assert Path(f"{recipe.calls}.stopped").read_text().splitlines() == ["interrupted"] * runs
    if stage == 3:
        for log in recipe.caller.glob("exp/*/job.log"):
            assert log.read_text().splitlines()[-1].startswith("# ended with status 130")


def test_an_interrupt_in_a_stage_without_runs_is_one_line(recipe):
    process = recipe.start("--data", "mini", "--stop_stage", "0", DO=INTERRUPTED)
    wait_for(lambda: list(recipe.calls.parent.glob("calls.*.at_work")))
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    (line,) = err.splitlines()
    assert line.endswith("run.sh: stopped in stage 0; the same command goes on")


def test_a_second_interrupt_does_not_wait(recipe):
    deaf = 'trap "" INT; touch "$CALLS.at_work"; for _ in {1..300}; do sleep 0.1; done'
    process = recipe.start(*TRAINING, DO=deaf)
    wait_for(Path(f"{recipe.calls}.at_work").exists)
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)
    # Which comes to its end when nobody is left that could write.
    process.communicate(timeout=10)
    assert process.returncode == 130


@pytest.mark.parametrize(
    ("backend", "program", "words", "canceller"),
    [
        ("slurm", "sbatch", "Submitted batch job 17", "scancel"),
        ("sge", "qsub", 'Your job 17 ("x") has been submitted', "qdel"),
    ],
)
def test_an_interrupt_takes_the_job_back_from_the_scheduler(recipe, backend, program, words, canceller):
    waiting = (
        f"#!/bin/bash\necho '{words}'\n"
        + 'touch "$CALLS.at_work"; until [ -f "$CALLS.cancelled" ]; do sleep 0.1; done\n'
    )
    for name, script in ((program, waiting), (canceller, '#!/bin/bash\necho "$*" >"$CALLS.cancelled"\n')):
        (recipe.programs / name).write_text(script)
        (recipe.programs / name).chmod(0o755)
    process = recipe.start(*TRAINING, VQBN_BACKEND=backend)
    wait_for(Path(f"{recipe.calls}.at_work").exists)
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert Path(f"{recipe.calls}.cancelled").read_text() == "17\n"
