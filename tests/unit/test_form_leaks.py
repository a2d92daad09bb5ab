import string

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from escalometer.cases import form_leaks
from escalometer.cases.form_leaks import estimate_leak
from escalometer.cases.text_forms import mask

PURPOSES = ["debt consolidation", "car", "home improvement", "medical", "small business loan"]
SEEDS = range(4)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("debt consolidation", "w"),
        ("car", "w"),
        ("debt_consolidation", "w_w"),
        ("Debt consolidation", "W w"),
        ("DEBT iPhone A", "WW Ww W"),
        ("Müller ÅSE café", "Ŵ ŴŴ ŵ"),
        ("12", "#"),
        ("-12.50%", "-#.##%"),
        ("$12,000.50 or €3", "$#,###.## w €#"),
        ("1,200,000", "#,###"),
        ("1,5 litres", "#,# w"),
        ("2020-01-05, 1/2/2020", "#-#-#, #/#/#"),
        ("5 - 3 = 2.", "# - # = #."),
        ("two  spaces ", "w  w "),
        ("A line\n\n- and another", "W w\n\n- w"),
        ("a, b and c", "w"),
        ("a, b, and c.", "w."),
        ("Alice and Bob", "W"),
        ("2 adults, 1 child and 3 dogs", "# w"),
        ("Debts: 3 cars, 2 loans.", "W: # w."),
        ("(Action|Comedy|Drama)", "(W)"),
        ("(and) x  and  y", "(w) w  w  w"),
        ("Alice and the dog", "W w"),
        ("don't, O'Brien", "w'w, W'W"),
        ("B2B", "W#W"),
        ("", ""),
    ],
)
def test_mask_keeps_the_form_alone(text, form):
    assert mask(text) == form


@given(st.text(max_size=80))
def test_masked_texts_have_no_content_left(text):
    masked = mask(text)
    assert not set(masked) & (set(string.ascii_letters + string.digits) - set("wW"))
    assert mask(text) == masked
    # Line breaks and double spaces are form: none is lost outside of a list.
    assert masked.count("\n") == text.count("\n")


@given(st.lists(st.sampled_from(["apple", "pear", "fig"]), min_size=1, max_size=6))
def test_the_length_of_a_list_is_content(items):
    assert mask("I have " + ", ".join(items) + ".") == mask("I have figs.")
    listed = ", ".join(f"{len(item)} {item}" for item in items)
    assert mask(f"Fruit: {listed}") == "W: # w"


def loans(seed, write, n=1500):
    """Loan applications; `write` gets the label, the purpose, the amount and the DTI."""
    random = np.random.default_rng(seed)
    rows = zip(
        random.integers(0, 2, n).tolist(),
        random.choice(PURPOSES, n).tolist(),
        random.integers(500, 40_000, n).tolist(),
        random.uniform(0, 40, n).tolist(),
        strict=True,
    )
    texts, labels = [], []
    for label, purpose, amount, dti in rows:
        purpose, amount, dti = write(label, purpose, amount, dti)
        texts.append(f"The applicant asks for ${amount} for {purpose}.\nDebt to income: {dti}%")
        labels.append(label)
    return texts, labels


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("write", "piece"),
    [
        (
            lambda y, p, a, d: (
                p.replace(" ", "_") if y else p.capitalize(),
                f"{a:,}",
                f"{d:.1f}",
            ),
            "W",
        ),
        (lambda y, p, a, d: (p, f"{a:,}", f"{d:.1f}" + "0" * y), "#.##"),
        (lambda y, p, a, d: (p, f"{a:,}" if y else str(a), f"{d:.1f}"), "#"),
        (lambda y, p, a, d: (p + " " * y, f"{a:,}", f"{d:.1f}"), " ."),
    ],
    ids=["purpose", "zeros", "commas", "spaces"],
)
def test_a_form_that_betrays_the_label_is_found(seed, write, piece):
    texts, labels = loans(seed, write)
    found = estimate_leak(texts, labels, seed=seed)
    assert found.auc > 0.9
    assert found.is_leak
    assert found.n == len(texts)
    assert any(piece in telling for telling in found.telling), found


def test_a_third_of_the_rows_written_otherwise_is_found():
    random = np.random.default_rng(8)

    def write(label, purpose, amount, dti):
        is_odd = label and random.random() < 1 / 3
        return purpose.capitalize() if is_odd else purpose, amount, f"{dti:.1f}"

    found = estimate_leak(*loans(1, write))
    assert found.is_leak
    assert found.auc == pytest.approx(1 / 2 + 1 / 6, abs=0.04)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_numbers_and_words_say_is_no_leak(seed):
    random = np.random.default_rng(seed)
    texts, labels = [], []
    for _ in range(1500):
        amount, change = int(random.integers(100, 40_000)), float(random.normal(0, 5))
        names = random.choice(PURPOSES, random.integers(1, 4), replace=False).tolist()
        texts.append(
            f"Year {random.integers(1990, 2024)}: ${amount:,} for {', '.join(names)}.\n"
            f"The balance changed by {change:.1f}%."
        )
        # The size (with its comma), the sign and how many there are decide: all of it is content.
        labels.append(int((amount < 1000) or (change < -2) or len(names) == 3))
    found = estimate_leak(texts, labels, seed=seed)
    assert not found.is_leak
    assert found.auc == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("seed", SEEDS)
def test_many_forms_that_have_nothing_to_do_with_the_label_are_no_leak(seed):
    random = np.random.default_rng(seed)
    pieces = ["Ok.", "fine,", "NO!", "a_b", "3.5", "12", "(x)", "é", "Well-known", "  ", "\n"]
    texts = [" ".join(random.choice(pieces, 12)) for _ in range(600)]
    found = estimate_leak(texts, random.integers(0, 2, 600), seed=seed)
    assert not found.is_leak
    assert found.low < 0.5 < found.high


def test_a_constant_form_is_exactly_chance():
    texts = [f"The loan is {amount} dollars." for amount in range(100)]
    found = estimate_leak(texts, [int(amount > 50) for amount in range(100)])
    assert found == form_leaks.Leak(0.5, 0.5, 0.5, 100, ())
    assert not found.is_leak


def test_repeated_texts_are_not_learned_by_rote():
    # Each of 60 forms comes 20 times with one label: a split of rows would know the answer.
    random = np.random.default_rng(0)
    forms = [" ".join(random.choice(["a.", "B,", "CC", "1", "d_e"], 8)) for _ in range(60)]
    truth = random.integers(0, 2, 60)
    texts = [form for form in forms for _ in range(20)]
    labels = [int(y) for y in truth for _ in range(20)]
    assert not estimate_leak(texts, labels).is_leak
    # The same with texts of their own that share a group.
    numbered = [f"{text} {'xyz'[i % 3]}" for i, text in enumerate(texts)]
    groups = [str(i // 20) for i in range(len(texts))]
    assert not estimate_leak(numbered, labels, groups=groups).is_leak


def test_more_than_two_labels():
    random = np.random.default_rng(5)
    labels = random.integers(0, 26, 3000)
    told = [("Loan: car." if y == 0 else "Loan: Car." if y < 13 else "loan, car") for y in labels]
    texts = [f"{text} {i}" for i, text in enumerate(told)]
    found = estimate_leak(texts, labels)
    assert found.is_leak
    assert found.n == 3000
    shuffled = estimate_leak(texts, random.permutation(labels))
    assert not shuffled.is_leak
    assert shuffled.auc == pytest.approx(0.5, abs=0.04)


def test_rows_may_come_in_any_order_and_only_so_many_are_looked_at():
    texts, labels = loans(3, lambda y, p, a, d: (p.capitalize() if a % 3 else p, a, f"{d:g}"))
    first = estimate_leak(texts, labels, max_rows=700)
    order = np.random.default_rng(0).permutation(len(texts))
    assert (
        estimate_leak([texts[i] for i in order], np.asarray(labels)[order], max_rows=700) == first
    )
    assert first.n == 700


def test_labels_too_rare_for_every_fold_are_left_out():
    texts = [f"{'A' if i % 2 else 'a'} {i}" for i in range(103)]
    labels = [i % 2 for i in range(100)] + [2, 2, 2]
    assert estimate_leak(texts, labels).n == 100


@pytest.mark.parametrize("labels", [[1] * 20, [0] * 17 + [1] * 3, []])
def test_one_label_cannot_leak(labels):
    with pytest.raises(ValueError, match="two labels with at least 5 different texts"):
        estimate_leak([f"text {i}" for i in range(len(labels))], labels)


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="2 texts, 1 labels"):
        estimate_leak(["a", "b"], [1])


def test_a_small_effect_is_no_leak_however_many_rows_show_it():
    assert not form_leaks.Leak(0.525, 0.52, 0.53, 10**6, ()).is_leak
    assert form_leaks.Leak(0.56, 0.531, 0.59, 10**4, ()).is_leak


def test_the_area_is_that_of_scikit_learn_and_its_error_that_of_delong():
    random = np.random.default_rng(1)
    y = random.integers(0, 2, 200)
    score = np.round(random.normal(y, 2), 1)  # with ties
    auc, error = form_leaks._auc(np.c_[-score, score], y, np.arange(200))
    assert auc == pytest.approx(roc_auc_score(y, score))
    # DeLong's variance by its definition: mean placements of each row among the other label's.
    pairs = np.where(score[y == 1][:, None] > score[y == 0], 1.0, 0.0)
    pairs += 0.5 * (score[y == 1][:, None] == score[y == 0])
    n, m = pairs.shape
    delong = pairs.mean(1).var(ddof=1) / n + pairs.mean(0).var(ddof=1) / m
    assert error == pytest.approx(1.5 * delong**0.5, rel=0.01)
    macro, _ = form_leaks._auc(
        random.random((300, 3)), three := random.integers(0, 3, 300), np.arange(300)
    )
    random = np.random.default_rng(1)
    assert 0.4 < macro < 0.6
    assert set(three.tolist()) == {0, 1, 2}


def test_rows_of_one_group_count_as_one_observation():
    random = np.random.default_rng(2)
    y = random.integers(0, 2, 100)
    score = random.normal(y, 2)
    _, single = form_leaks._auc(np.c_[-score, score], y, np.arange(100))
    times = [np.repeat(v, 9, axis=0) for v in (np.c_[-score, score], y, np.arange(100))]
    _, repeated = form_leaks._auc(*times)
    assert repeated == pytest.approx(single)
