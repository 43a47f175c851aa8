"""utils/run_job.sh: logs, statuses and options, here, through stand-ins of the schedulers, and through a real Slurm."""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

RUN_JOB = Path(__file__).resolve().parents[2] / "utils/run_job.sh"


def run_job(*arguments, cwd, **environment):
    """Call the runner in a folder."""
    return subprocess.run(
        [RUN_JOB, *arguments],
        cwd=cwd,
        env=os.environ | {"VQBN_ECHO": "0"} | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def check_log(log, command, output, status):
    """The log has the command at its top, the output, and the status at its bottom."""
    lines = log.read_text().splitlines()
    assert lines[0] == f"# {command}"
    assert lines[1].startswith("# started ")
    assert lines[2:-1] == output
    assert lines[-1].startswith(f"# ended with status {status} after ")


def stand_in(folder, name):
    """A scheduler that writes down its options and runs the script at once."""
    program = folder / name
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{folder}/options\nfor script; do :; done\nexec sh "$script"\n')
    program.write_text(program.read_text().replace("exec sh", "exec bash"))
    program.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


@pytest.mark.parametrize(
    ("backend", "program", "options"),
    [
        ("slurm", "sbatch", ["--wait", "--mem 8G", "--cpus-per-task 4", "--time 2:00:00", "--gres=gpu:1", "-p long"]),
        (
            "sge",
            "qsub",
            ["-sync y", "-l mem_free=8G,ram_free=8G", "-pe smp 4", "-l h_rt=2:00:00", "-l gpu=1", "-p long"],
        ),
    ],
)
def test_a_scheduler_gets_what_the_job_needs(tmp_path, backend, program, options):
    path = stand_in(tmp_path, program)
    job = ("--backend", backend, "--mem", "8G", "--num_threads", "4", "--time", "2:00:00", "--gpu", "1")
    log = tmp_path / "logs/a.log"
    result = run_job(*job, "--queue_opts", "-p long", log, "echo", "a  b", "$HOME", cwd=tmp_path, PATH=path)
    assert (result.returncode, result.stderr) == (0, "")
    given = " ".join((tmp_path / "options").read_text().splitlines())
    assert all(option in given for option in options)
    check_log(log, r"echo a\ \ b \$HOME", ["a  b $HOME"], 0)
    assert [path.name for path in log.parent.iterdir()] == ["a.log"]
    # Without options the scheduler's own defaults hold; cmd.sh's variables do the same as options.
    again = run_job(log, "echo", "x", cwd=tmp_path, PATH=path, VQBN_BACKEND=backend, VQBN_JOB_OPTIONS="--mem 1G")
    assert again.returncode == 0
    given = (tmp_path / "options").read_text()
    assert "1G" in given
    assert "gpu" not in given


def test_options_in_a_string_are_divided_as_by_a_shell_and_nothing_in_them_is_run(tmp_path):
    path = stand_in(tmp_path, "sbatch")
    (tmp_path / "cwd").mkdir()
    options = (
        r"""--gpu 1 --queue_opts "-p long -A 'my lab' --comment \"$(touch ran)\"" --mem '8 G' --time `touch\ ran`*"""
    )
    result = run_job(
        *("--backend", "slurm", "--queue_opts", "--exclude=n[1-3]", tmp_path / "a.log", "true"),
        cwd=tmp_path / "cwd",
        PATH=path,
        VQBN_JOB_OPTIONS=options,
    )
    assert (result.returncode, result.stderr) == (0, "")
    given = (tmp_path / "options").read_text().splitlines()
    at = given.index("-p")
    assert given[at:-1] == ["-p", "long", "-A", "my lab", "--comment", "$(touch ran)", "--exclude=n[1-3]"]
    assert given[given.index("--mem") + 1] == "8 G"
    assert given[given.index("--time") + 1] == "`touch ran`*"
    assert "--gres=gpu:1" in given
    # No file but the log, where a wrong division made some.
    assert list((tmp_path / "cwd").iterdir()) == []


@pytest.mark.parametrize(("backend", "program", "option"), [("slurm", "sbatch", "--job-name"), ("sge", "qsub", "-N")])
def test_a_job_is_named_after_its_run(tmp_path, backend, program, option):
    path = stand_in(tmp_path, program)
    for log, name in (
        ("exp/bn_seed1/job.log", "bn_seed1"),
        ("exp/bn_seed1/decode_dev.log", "bn_seed1-decode_dev"),
        ("exp/bn a+b_seed1/job.log", "bn_a_b_seed1"),
        ("exp/2nd_seed1/job.log", "job-2nd_seed1"),
    ):
        assert run_job("--backend", backend, log, "true", cwd=tmp_path, PATH=path).returncode == 0
        given = (tmp_path / "options").read_text().splitlines()
        assert given[given.index(option) + 1] == name


@pytest.mark.parametrize("backend", ["run", "slurm"])
def test_an_earlier_jobs_log_is_kept_above_and_its_status_is_not_taken_for_the_laters(tmp_path, backend):
    path = stand_in(tmp_path, "sbatch")
    for status in (0, 3, 0):
        job = ("sh", "-c", f"echo output {status}; exit {status}")
        result = run_job("--backend", backend, "a.log", *job, cwd=tmp_path, PATH=path)
        assert result.returncode == status
    lines = (tmp_path / "a.log").read_text().splitlines()
    assert [line for line in lines if line.startswith("output")] == ["output 0", "output 3", "output 0"]
    # One that the scheduler kills did not end with the status above.
    (tmp_path / "sbatch").write_text('#!/bin/sh\necho "killed" >>a.log\nexit 0\n')
    if backend == "slurm":
        result = run_job("--backend", backend, "a.log", "true", cwd=tmp_path, PATH=path)
        assert result.returncode == 1
        assert "the job did not come to its end" in result.stderr


@pytest.mark.parametrize(("backend", "program"), [("slurm", "sbatch"), ("sge", "qsub")])
def test_a_failing_job_shows_the_end_of_its_log(tmp_path, backend, program):
    path = stand_in(tmp_path, program)
    job = ("sh", "-c", "echo before; echo what was wrong >&2; exit 7")
    result = run_job("--backend", backend, "a.log", *job, cwd=tmp_path, PATH=path)
    assert result.returncode == 7
    assert "failed with status 7: a.log ends with" in result.stderr
    assert "what was wrong" in result.stderr


def test_a_job_that_the_scheduler_refuses_or_kills_is_one_line_and_its_words(tmp_path):
    for script in ("echo no such partition >&2; exit 1", "echo cancelled: out of memory; exit 137"):
        (tmp_path / "sbatch").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "sbatch").chmod(0o755)
        path = f"{tmp_path}:{os.environ['PATH']}"
        result = run_job("--backend", "slurm", "a.log", "true", cwd=tmp_path, PATH=path)
        assert result.returncode in (1, 137)
        assert "the job did not come to its end" in result.stderr
        assert script.split(";")[0].removeprefix("echo ").removesuffix(" >&2") in result.stderr


def test_wrong_options_are_refused(tmp_path):
    for arguments, said in (
        (("--backend", "pbs", "a.log", "true"), "expected run, slurm or sge"),
        (("--cores", "4", "a.log", "true"), "unknown option --cores"),
        (("--mem",), "--mem needs a value"),
        (("a.log",), "usage:"),
        (("--backend", "sge", "a.log", "true"), "there is no qsub on this machine"),
        (("--gpu", "x[$(touch ran)]", "a.log", "true"), "--gpu takes a whole number"),
        (("--queue_opts", "-A 'lab", "a.log", "true"), "--queue_opts: found  -A 'lab, expected closed quotes"),
    ):
        result = run_job(*arguments, cwd=tmp_path)
        assert result.returncode == 1
        assert said in result.stderr
    result = run_job("a.log", "true", cwd=tmp_path, VQBN_JOB_OPTIONS='--queue_opts "-p long')
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert 'VQBN_JOB_OPTIONS: found --queue_opts "-p long, expected closed quotes' in line
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """A Slurm of one node, from Debian's packages, that runs for these tests; its SLURM_CONF."""
    programs = {name: shutil.which(name) or f"/usr/sbin/{name}" for name in ("munged", "slurmctld", "slurmd")}
    if not (shutil.which("sbatch") and all(os.access(program, os.X_OK) for program in programs.values())):
        pytest.skip("Slurm is not installed (Debian: slurmctld slurmd slurm-client munge)")
    if os.geteuid() != 0:
        pytest.skip("a Slurm of one's own needs root")
    folder = Path(tmp_path_factory.mktemp("slurm"))
    (folder / "key").write_bytes(os.urandom(128))
    (folder / "key").chmod(0o600)
    host = socket.gethostname().split(".")[0]
    ports = []
    for _ in range(2):
        with socket.socket() as probe:
            probe.bind(("", 0))
            ports.append(probe.getsockname()[1])
    (folder / "slurm.conf").write_text(
        f"ClusterName=test\nSlurmctldHost={host}(127.0.0.1)\nSlurmUser=root\nAuthType=auth/munge\n"
        f"AuthInfo=socket={folder}/munge.socket\nCredType=cred/munge\nMpiDefault=none\nProctrackType=proctrack/linuxproc\n"
        f"TaskPlugin=task/none\nJobAcctGatherType=jobacct_gather/none\nAccountingStorageType=accounting_storage/none\n"
        f"SelectType=select/cons_tres\nSelectTypeParameters=CR_Core\nStateSaveLocation={folder}/state\n"
        f"SlurmdSpoolDir={folder}/spool\nSlurmctldPort={ports[0]}\nSlurmdPort={ports[1]}\nReturnToService=2\n"
        f"SlurmctldPidFile={folder}/ctld.pid\nSlurmdPidFile={folder}/d.pid\nSwitchType=switch/none\n"
        f"NodeName={host} NodeAddr=127.0.0.1 CPUs=1 State=UNKNOWN\n"
        f"PartitionName=all Nodes={host} Default=YES State=UP\n"
    )
    (folder / "state").mkdir()
    (folder / "spool").mkdir()
    environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf")}
    started = []

    def start(*command):
        output = (folder / f"{Path(command[0]).name}.log").open("w")
        started.append(subprocess.Popen(command, env=environment, stdout=output, stderr=output))

    try:
        munge = [f"--{name}={folder}/{name.removesuffix('-file')}" for name in ("key-file", "seed-file", "pid-file")]
        start(programs["munged"], "--foreground", "--force", f"--socket={folder}/munge.socket", *munge)
        start(programs["slurmctld"], "-D", "-f", str(folder / "slurm.conf"))
        start(programs["slurmd"], "-D", "-f", str(folder / "slurm.conf"))
        deadline = time.monotonic() + 60
        state = ""
        while "idle" not in state:
            if time.monotonic() > deadline:
                logs = "\n".join(f"{log.name}: {log.read_text()[-500:]}" for log in folder.glob("*.log"))
                pytest.skip(f"Slurm's daemons don't come up here: {logs}")
            time.sleep(0.5)
            state = subprocess.run(["sinfo", "-h", "-o", "%T"], env=environment, capture_output=True, text=True).stdout
        yield str(folder / "slurm.conf")
    finally:
        for daemon in reversed(started):
            daemon.terminate()
        for daemon in started:
            daemon.wait(30)


def test_a_real_slurm_runs_jobs_and_gives_back_their_status(slurm, tmp_path):
    environment = {"SLURM_CONF": slurm, "VQBN_BACKEND": "slurm"}
    result = run_job("--time", "5", "a.log", "sh", "-c", "echo $SLURM_JOB_ID >id; pwd", cwd=tmp_path, **environment)
    assert (result.returncode, result.stderr) == (0, "")
    assert (tmp_path / "id").read_text().strip().isdecimal()
    assert (tmp_path / "a.log").read_text().splitlines()[2] == str(tmp_path)
    result = run_job("b.log", "sh", "-c", "echo what was wrong; exit 5", cwd=tmp_path, **environment)
    assert result.returncode == 5
    assert "what was wrong" in result.stderr
    result = run_job("--queue_opts", "-p nowhere", "c.log", "true", cwd=tmp_path, **environment)
    assert result.returncode == 1
    assert "invalid partition" in result.stderr
