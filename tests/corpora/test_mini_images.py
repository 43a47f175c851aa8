import numpy as np

from vqbn.corpora.mini_images import mini_images


def test_the_sets_are_crops_that_share_no_pixels():
    sets = mini_images(0)
    assert {name: images.shape[1:] for name, images in sets.items()} == dict.fromkeys(sets, (32, 32, 3))
    assert len(sets["train"]) > 1000
    # Two crops that overlap have a row of 8 pixels in common, somewhere in the photograph.
    pieces = {
        name: {images[i, y, x : x + 8].tobytes() for i in range(len(images)) for y in (0, 31) for x in (0, 8, 16, 24)}
        for name, images in sets.items()
    }
    for name, other in (("train", "dev"), ("train", "test"), ("dev", "test")):
        assert len(pieces[name] & pieces[other]) <= 0.02 * len(pieces[other])
    again = mini_images(0)
    assert all(np.array_equal(images, again[name]) for name, images in sets.items())
