"""How a recogniser's scores are shown, and what its settings are chosen by."""

from vqbn.runs.task import Config, Row, Tuned

ROWS = {
    "per": Row("PER %", 2),
    "wer": Row("WER %", 2),
    "substitutions": Row("  substitutions", 0),
    "deletions": Row("  deletions", 0),
    "insertions": Row("  insertions", 0),
    "reference_length": Row("  reference phones", 0),
    "per_sclite": Row("PER % as sclite counts", 2),
    "wer_sclite": Row("WER % as sclite counts", 2),
    "substitutions_sclite": Row("  sclite's substitutions", 0),
    "deletions_sclite": Row("  sclite's deletions", 0),
    "insertions_sclite": Row("  sclite's insertions", 0),
    "per_nosil": Row("PER % without SIL", 2),
    "cer": Row("CER %", 2),
    "perplexity": Row("perplexity"),
    "perplexity_nosil": Row("perplexity without SIL"),
    "used_codes": Row("codes used", 0),
    "codebook_size": Row("  of codewords", 0),
    "codes_seen": Row("  codes counted", 0),
    "phone_purity": Row("phone purity %", 2, 100),
    "pnmi": Row("PNMI %", 2, 100),
    "bits_per_second": Row("bits/s"),
}
TUNED = Tuned("per", Row("PER %"), "dev_loss")


def development_rate(config: Config) -> str:
    """What an evaluation calls the error rate in phones, or with text targets in tokens."""
    return "dev_per" if config["token_type"] == "phn" else "dev_ter"
