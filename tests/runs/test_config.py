import pytest
import yaml

from vqbn.errors import InputError
from vqbn.runs.config import configuration_hash, first_difference, parse_arguments, read_config, write_config
from vqbn.tasks.recognition.task import RECOGNITION

KEYS = RECOGNITION.keys

NEEDED = ["--dump", "dump", "--expdir", "exp/run"]


def parse(*argv):
    return parse_arguments([*NEEDED, *map(str, argv)], "vqbn-train", "Train.", KEYS, RECOGNITION.check)


@pytest.fixture
def file(tmp_path):
    def make(text, name="conf.yaml"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return make


def test_the_authors_values_are_the_defaults():
    config = parse()
    assert config["vq_codebook_size"] == 2048
    assert (config["lstm_layers"], config["lstm_size"]) == (4, 320)
    assert config["lr_milestones"] == []
    assert list(config) == [key.name for key in KEYS]


def test_later_files_win_and_the_command_line_wins_over_all(file):
    base = file("vq_codebook_size: 16\nlearning_rate: 1e-3\nlr_milestones: [10, 20]\nseed: 4\n", "base.yaml")
    variant = file("vq_codebook_size: 32\nreestimation: true\nlr_milestones: [5]\n", "variant.yaml")
    config = parse("--config", base, "--config", variant, "--seed=7")
    assert config["vq_codebook_size"] == 32
    assert config["learning_rate"] == 0.001
    assert config["lr_milestones"] == [5]
    assert config["reestimation"] is True
    assert config["seed"] == 7
    assert parse("--config", variant, "--config", base)["vq_codebook_size"] == 16
    assert parse("--config", base, "--lr_milestones", 1, 2)["lr_milestones"] == [1, 2]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("vq_codebok_size: 16", ["vq_codebok_size", "no such key", "did you mean vq_codebook_size"]),
        ("vq_codebook_size: 0", ["vq_codebook_size", "whole number of at least 2", "'0'"]),
        ("vq_codebook_size: many", ["vq_codebook_size", "whole number", "'many'"]),
        ("vq_codebook_size: 16.5", ["vq_codebook_size", "'16.5'"]),
        ("vq_codebook_size: [16]", ["vq_codebook_size", "whole number", "16"]),
        ("vq_codebook_size:", ["vq_codebook_size", "''"]),
        ("vq_codebook_size: {a: 1}", ["vq_codebook_size", "whole number"]),
        ("reestimation_growth: 0.5", ["reestimation_growth", "at least 1", "'0.5'"]),
        ("learning_rate: nan", ["learning_rate", "above 0", "'nan'"]),
        ("learning_rate: -1", ["learning_rate", "above 0", "'-1'"]),
        ("polyak_decay: 1", ["polyak_decay", "below 1", "'1'"]),
        ("reestimation: perhaps", ["reestimation", "true or false", "'perhaps'"]),
        ("bottleneck: fsq", ["bottleneck", "one of vq, linear", "'fsq'"]),
        ("vq_codebook_init: xavir", ["vq_codebook_init", "'xavir'"]),
        ("lr_milestones: 5", ["lr_milestones", "a list", "'5'"]),
        ("lr_milestones: [5, x]", ["lr_milestones", "whole number", "'x'"]),
        ("lr_milestones: [5, [6]]", ["lr_milestones", "whole number"]),
        ("seed: 2\nseed: 3", ["conf.yaml:4", "seed", "also on line 3"]),
        ("- seed", ["not YAML"]),
        ("seed: [1", ["not YAML"]),
    ],
)
def test_a_wrong_line_is_named(file, line, words):
    path = file(f"# a comment\nbatch_size: 8\n{line}\n")
    with pytest.raises(InputError) as raised:
        parse("--config", path)
    message = str(raised.value)
    assert "\n" not in message
    for word in [f"{path}:", *words]:
        assert word in message
    if "seed" not in line:
        assert f"{path}:3:" in message


def test_clusterings_may_go_on_to_the_end(file):
    path = file("reestimation: true\nreestimation_start: 5\nreestimation_until: end\n")
    assert parse("--config", path, "--max_updates", 400)["reestimation_until"] == 400


@pytest.mark.parametrize(
    ("text", "where", "problem"),
    [
        ("reestimation_start: 50\nreestimation_until: 40", 3, "reestimation_until: found 40, expected at least"),
        ("reestimation_start: 5000\nreestimation_until: 6000", 2, "at most max_updates"),
        ("vq_codebook_size: 64\nvq_reservoir_size: 10", 3, "vq_reservoir_size: found 10"),
        ("bottleneck: linear", 1, "a linear bottleneck has no codebook of ours"),
        ("vq_code_dim: 10\nvq_num_codebooks: 3", 3, "vq_num_codebooks: found 3, expected a divisor"),
        ("lr_milestones: [5, 3]", 2, "lr_milestones: found .*, expected rising"),
        ("reestimation_start: 3\nreestimation_until: 40\nngpu: 3", None, "batch_size: found 32, expected a multiple"),
        ("continue_to: 4000", 2, r"continue_to: found 4000, expected 0 or more than max_updates \(4000\)"),
        (
            "continue_to: 4500\nvalidate_every: 400",
            2,
            r"continue_to: found 4500, expected a multiple of validate_every \(400\), such as 4800",
        ),
    ],
)
def test_values_that_do_not_go_together_are_named(file, text, where, problem):
    path = file(f"reestimation: true\n{text}\n" + ("" if "start" in text else "reestimation_start: 5\n"))
    with pytest.raises(InputError, match=problem) as raised:
        parse("--config", path, "--max_updates", 4000)
    if where:
        assert f"{path}:{where}:" in str(raised.value)


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        (["--vq_codebook_size", "0"], "--vq_codebook_size: expected a whole number of at least 2, found '0'"),
        (["--vq_codebok_size", "3"], "--vq_codebok_size"),
        (["--seed"], "--seed"),
        (["--config"], "--config"),
        (["--config", "nowhere.yaml"], "nowhere.yaml: can't be read"),
    ],
)
def test_a_wrong_option_is_named(argv, problem):
    with pytest.raises(InputError) as raised:
        parse(*argv)
    assert problem in str(raised.value)


def test_what_is_needed_is_asked_for():
    with pytest.raises(InputError, match="--dump: not given"):
        parse_arguments(["--expdir", "exp"], "vqbn-train", "Train.", KEYS, RECOGNITION.check)


def test_a_written_configuration_is_input_and_says_what_wrote_it(tmp_path):
    config = parse("--seed", 3, "--lr_milestones", 5, 9, "--learning_rate", 1e-5, "--reestimation", "true")
    write_config(tmp_path / "config.yaml", config)
    assert (
        parse_arguments(["--config", str(tmp_path / "config.yaml")], "vqbn-train", "Train.", KEYS, RECOGNITION.check)
        == config
    )
    text = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert text["torch_version"]
    assert text["git_commit"]
    assert set(read_config(tmp_path / "config.yaml", KEYS)) == set(config)


def test_the_hash_follows_what_decides_the_result():
    config = parse()
    for same in (["--expdir", "elsewhere"], ["--threads", 2], ["--checkpoint_every", 7]):
        assert configuration_hash(parse(*same), KEYS) == configuration_hash(config, KEYS)
        assert first_difference(parse(*same), config, KEYS) is None
    for key, value in (("seed", 2), ("learning_rate", 0.1), ("lr_milestones", 9), ("reestimation", "true")):
        assert configuration_hash(parse(f"--{key}", value), KEYS) != configuration_hash(config, KEYS)
        assert first_difference(parse(f"--{key}", value), config, KEYS) == key


def test_keys_that_have_no_effect_leave_the_hash_as_it_is():
    plain = {key.name: key.default for key in KEYS}
    linear, clustered = plain | {"bottleneck": "linear"}, plain | {"reestimation": True}
    start = {"reestimation_start": 7}
    assert configuration_hash(linear | start | {"vq_codebook_size": 5}, KEYS) == configuration_hash(linear, KEYS)
    assert configuration_hash(plain | start, KEYS) == configuration_hash(plain, KEYS)
    assert configuration_hash(clustered | start, KEYS) != configuration_hash(clustered, KEYS)
    assert first_difference(plain | start, plain, KEYS) is None
    assert first_difference(clustered | start, clustered, KEYS) == "reestimation_start"
    assert configuration_hash(linear | {"vq_code_dim": 5}, KEYS) != configuration_hash(linear, KEYS)


def test_keys_that_came_later_leave_the_hashes_of_earlier_runs_as_they_were():
    config = parse()
    later = ("peer", "peer_dead_threshold", "continue_to", "init_from_hash")
    earlier = {name: value for name, value in config.items() if name not in later}
    assert first_difference(config, earlier, KEYS) is None
    keys = [key for key in KEYS if not key.since_first]
    assert configuration_hash(config, KEYS) == configuration_hash(earlier, keys)
    peer = parse("--bottleneck", "peer", "--peer", "fsq")
    assert first_difference(peer, earlier | {"bottleneck": "peer"}, KEYS) == "peer"
    assert configuration_hash(peer, KEYS) != configuration_hash(parse("--bottleneck", "peer"), KEYS)


def test_the_schedules_of_a_longer_run_end_where_they_did():
    config = parse("--max_updates", 4680, "--reestimation", "true", "--reestimation_until", "end")
    longer = parse(
        "--max_updates", 4680, "--reestimation", "true", "--reestimation_until", "end", "--continue_to", 9360
    )
    assert longer == config | {"continue_to": 9360}
    assert configuration_hash(longer, KEYS) != configuration_hash(config, KEYS)


def test_a_run_that_begins_with_a_file_is_told_by_the_files_contents(tmp_path):
    for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / f"{name}.ckpt").write_bytes(content)
    a, b, c = (parse("--init_from", tmp_path / f"{name}.ckpt") for name in "abc")
    assert configuration_hash(a, KEYS) == configuration_hash(b, KEYS)
    assert first_difference(a, b, KEYS) is None
    assert len({configuration_hash(config, KEYS) for config in (a, c, parse())}) == 3
    assert first_difference(a, c, KEYS) == "init_from_hash"
    with pytest.raises(InputError, match=r"c\.ckpt: has the hash .* it is another file than the run began with"):
        parse("--init_from", tmp_path / "c.ckpt", "--init_from_hash", a["init_from_hash"])
    with pytest.raises(InputError, match="nowhere: can't be read: No such file"):
        parse("--init_from", "nowhere")
    with pytest.raises(InputError, match="expected nothing where init_from is not given"):
        parse("--init_from_hash", a["init_from_hash"])


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        (["--vq_update", "ema"], "--vq_update: found ema, expected gradient: a peer's layer"),
        (["--codebook_learning_rate", "0.01"], "--codebook_learning_rate: found 0.01, expected 0"),
        (["--reestimation", "true", "--reestimation_start", "5"], "--reestimation: found true, expected false"),
        (["--peer", "vqvae"], "--peer: expected one of vqp_ema, simvq"),
    ],
)
def test_a_peer_takes_only_what_its_layer_has(argv, problem):
    with pytest.raises(InputError) as raised:
        parse("--bottleneck", "peer", *argv)
    assert problem in str(raised.value)
