from fewscan.methods.founding_papers import FOUNDING_PAPERS, papers_named_in


def test_numbers_stand_for_papers_in_their_order():
    found = papers_named_in("w; Paper 3, eq. 1, not the 0.2 of paper 1")
    assert list(found.items()) == [(name, FOUNDING_PAPERS[name]) for name in ("paper 1", "paper 3")]
    assert "arXiv 2502.03229" in found["paper 1"]


def test_other_papers_are_not_taken_for_them():
    assert papers_named_in("paper 12; whitepaper 1; Tarvainen & Valpola 2017") == {}
