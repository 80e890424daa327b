from fewscan.seeding import generator_for, seed_for


def test_same_keys_give_the_same_draws():
    assert generator_for(3, "patch", 7).integers(1 << 30) == generator_for(3, "patch", 7).integers(1 << 30)


def test_every_key_matters():
    seeds = {seed_for(0, "a", 1), seed_for(1, "a", 1), seed_for(0, "b", 1), seed_for(0, "a", 2), seed_for(0, "a")}
    assert len(seeds) == 5


def test_keys_are_not_run_together():
    # "1" and 1 differ, and ("ab", "c") is not ("a", "bc")
    assert seed_for(0, "1") != seed_for(0, 1)
    assert seed_for(0, "ab", "c") != seed_for(0, "a", "bc")


def test_seeds_fit_into_63_bits():
    assert all(0 <= seed_for(k) < 2**63 for k in range(100))
