from vqbn.tasks.recognition.paper import TABLE_I


def test_the_rows_are_the_papers():
    """Against Table I as printed."""
    assert [(variant, *row) for variant, row in TABLE_I.items()] == [
        ("vanilla", 16.9, 16),
        ("bn", 17.6, 16.5),
        ("bn_lr", 13.1, 151),
        ("bn_ema", 10.5, 61.8),
        ("bn_reest", 10.4, 393),
        ("bn_reest_lr", 9.8, 574),
        ("none", 11.6, None),
    ]
