"""Form leaks: labels that can be predicted from the form of a text, without its content.

Tables joined from two sources often write one label's rows differently: "debt_consolidation" and
"Debt consolidation", 12.0 and 12. A model can then predict the label from the form, and its
accuracy measures nothing about the decision.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from escalometer.cases.text_forms import masked_forms
from escalometer.stats.shares import Z95

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

#: The least effect that counts: in thousands of rows even a tiny difference of form is significant,
#: and it predicts no single answer. An AUC of 0.53 orders 53 of 100 pairs of rows correctly.
MARGIN = 0.03

N_FOLDS = 5
MAX_NGRAM = 4
#: A form in fewer texts cannot move the AUC by the margin, and is overfitted.
MIN_TEXTS = 5
MAX_COLUMNS = 1000
N_TELLING = 5
#: 1 + folds · (share tested / share trained on), for a variance: folds are not independent.
_FOLD_CORRECTION = 1 + N_FOLDS / (N_FOLDS - 1)
_STRENGTH = 0.003  # inverse of the L2 penalty, on standardized columns; weak forms are many

_TOKEN = re.compile(r" ?(?:[wWŵŴ]+|#(?:[#,]*#)?(?:\.#+)?|[^\w\s])|\n| +|\s|.", re.DOTALL)


@dataclass(frozen=True)
class Leak:
    """The accuracy of a classifier that predicts the label from the form alone.

    Attributes
    ----------
    auc : float
        Area under the ROC curve on texts that it was not trained on, in [0, 1]; 0.5 is chance. For
        more than two labels the mean over labels, each against the rest.
    low, high : float
        95% interval of `auc`.
    n : int
        Number of texts.
    telling : tuple of str
        Up to five pieces of masked text that predict the label best, the strongest first.
    """

    auc: float
    low: float
    high: float
    n: int
    telling: tuple[str, ...]

    @property
    def is_leak(self) -> bool:
        """True if the form predicts the label: `low` is over one half by more than `MARGIN`."""
        return self.low > 0.5 + MARGIN


def estimate_leak(
    texts: Sequence[str],
    labels: Sequence[int],
    *,
    groups: Sequence[str] | None = None,
    seed: int = 0,
    max_rows: int = 6000,
) -> Leak:
    """Return the cross-validated AUC with which the form of the texts predicts their labels.

    Parameters
    ----------
    texts : sequence of str, shape (n,)
        Scenarios as a model would read them.
    labels : sequence of int, shape (n,)
        Two or more different ones. Labels of fewer than five groups are left out.
    groups : sequence of str, shape (n,), optional
        Rows of one group, like rows of the same text, are never on both sides of a fold.
    seed : int, default 0
        Determines which rows and folds are drawn; the order of the rows does not matter.
    max_rows : int, default 6000
        Most rows to use, drawn at random.

    Raises
    ------
    ValueError
        If lengths differ, or there are fewer than two labels with at least five groups of rows.

    Notes
    -----
    An L2 logistic regression on 1- to 4-grams of the masked texts and a few shares of forms. Before
    that, a number's sign and thousands commas are taken away unless a slot (the same number of
    otherwise equal masked texts) is written in two ways: "900" and "1,200" differ in size alone,
    "1200" and "1,200" in form.

    The interval is that of DeLong et al., with a group as one observation (Obuchowski), widened by
    the factor 1.5 that Nadeau and Bengio derive for five folds, whose classifiers share most of
    what they were trained on. Without it labels drawn at random were called a leak too often.

    References
    ----------
    Elizabeth R. DeLong, David M. DeLong and Daniel L. Clarke-Pearson. 1988. Comparing the areas
    under two or more correlated ROC curves. Biometrics 44, 837-845.
    Nancy A. Obuchowski. 1997. Nonparametric analysis of clustered ROC curve data. Biometrics 53,
    567-578.
    Claude Nadeau and Yoshua Bengio. 2003. Inference for the generalization error. Machine Learning
    52, 239-281.
    """
    keys = list(groups) if groups is not None else list(texts)
    if not len(texts) == len(labels) == len(keys):
        raise ValueError(f"{len(texts)} texts, {len(labels)} labels and {len(keys)} groups")
    rows = sorted(zip(texts, (int(y) for y in labels), keys, strict=True))
    random = np.random.default_rng(seed)
    rows = [rows[i] for i in np.sort(random.permutation(len(rows))[:max_rows])]
    clusters = _clusters([(text, key) for text, _, key in rows])
    spread = defaultdict(set)
    for (_, label, _), cluster in zip(rows, clusters, strict=True):
        spread[label].add(cluster)
    usable = [i for i, row in enumerate(rows) if len(spread[row[1]]) >= N_FOLDS]
    y = np.asarray([rows[i][1] for i in usable], dtype=np.int64)
    if len(set(y.tolist())) < 2:
        counts = ", ".join(f"{label}: {len(spread[label])}" for label in sorted(spread)) or "none"
        raise ValueError(
            f"the test for leaks needs two labels with at least {N_FOLDS} different texts or "
            f"groups each; found, by label, {counts}"
        )
    forms, inverse = np.unique(masked_forms([rows[i][0] for i in usable]), return_inverse=True)
    if len(forms) == 1:
        return Leak(0.5, 0.5, 0.5, len(y), ())
    cluster = np.unique(clusters[usable], return_inverse=True)[1]
    columns, names = _columns(forms.tolist(), inverse)
    if not names:  # no form is in enough texts to predict anything
        return Leak(0.5, 0.5, 0.5, len(y), ())
    scores, weights = _cross_validate(columns, y, cluster, seed)
    auc, error = _auc(scores, y, cluster)
    low, high = max(0.0, auc - Z95 * error), min(1.0, auc + Z95 * error)
    telling: list[str] = []
    for j in sorted(range(len(names)), key=lambda j: (-weights[j].round(6), names[j])):
        # A piece within another one, or around it, repeats the same information.
        if names[j] in _shares("") or any(_overlap(names[j], piece) for piece in telling):
            continue
        telling.append(names[j])
        if len(telling) == N_TELLING:
            break
    return Leak(auc, low, high, len(y), tuple(telling))


def _ngrams(form: str) -> list[str]:
    # A space goes with the token after it, so that "w_w" and "w w" differ and n-grams reach far.
    tokens = _TOKEN.findall(form)
    return [
        "".join(tokens[i : i + n])
        for n in range(1, MAX_NGRAM + 1)
        for i in range(len(tokens) - n + 1)
    ]


def _overlap(one: str, other: str) -> bool:
    # By tokens: "#.#" is not part of "#.##" but its opposite.
    return one in _ngrams(other) or other in _ngrams(one)


def _shares(form: str) -> dict[str, float]:
    """Return shares that n-grams do not sum up, with names that no n-gram can have."""
    words = re.findall(r"[wWŵŴ]+", form) or ["w"]
    return {
        "capitalized": sum(word[0] in "WŴ" for word in words) / len(words),
        "upper": sum(word in ("WW", "ŴŴ") for word in words) / len(words),
        "punctuation": len(re.findall(r"[^\w\s#]|_", form)),
        "double spaces": form.count("  "),
        "ascii": float(form.isascii()),
    }


def _columns(forms: list[str], inverse: Ints) -> tuple[Any, list[str]]:
    """Return standardized columns, one row a text, and the name of each.

    Columns that are rare, constant or equal to another one are left out; of equal ones the one with
    the shortest name stays.
    """
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.preprocessing import StandardScaler

    texts_of = np.bincount(inverse).tolist()
    ngram_counts = [Counter(_ngrams(form)) for form in forms]
    n_texts: Counter[str] = Counter()
    for ngrams, n in zip(ngram_counts, texts_of, strict=True):
        n_texts.update(dict.fromkeys(ngrams, n))
    universal = set(ngram_counts[0].items()).intersection(
        *(ngrams.items() for ngrams in ngram_counts[1:])
    )
    for ngram, _ in universal:  # an n-gram that is in every text predicts nothing; most are
        del n_texts[ngram]
    frequent = sorted(n_texts, key=lambda ngram: (-n_texts[ngram], ngram))[: 2 * MAX_COLUMNS]
    usable = {ngram for ngram in frequent if n_texts[ngram] >= MIN_TEXTS}
    rows = [
        _shares(form) | {ngram: float(ngrams[ngram]) for ngram in usable & ngrams.keys()}
        for form, ngrams in zip(forms, ngram_counts, strict=True)
    ]
    vectorizer = DictVectorizer()
    counts = vectorizer.fit_transform(rows).tocsc()
    counts.data = np.log1p(counts.data)
    names: list[str] = vectorizer.feature_names_
    distinct: dict[tuple[bytes, bytes], int] = {}
    for j in sorted(range(len(names)), key=lambda j: (len(names[j]), names[j])):
        part = slice(counts.indptr[j], counts.indptr[j + 1])
        values = counts.data[part]
        if len(values) < len(forms) or np.any(values != values[0]):  # a share may be constant
            distinct.setdefault((counts.indices[part].tobytes(), values.tobytes()), j)
    # The shares are in no text's count, which puts them first or last: they are always kept.
    by_frequency = sorted(distinct.values(), key=lambda j: (-n_texts[names[j]], names[j]))
    shares = [j for j in by_frequency if names[j] not in n_texts]
    chosen = shares + [j for j in by_frequency if names[j] in n_texts][:MAX_COLUMNS]
    matrix = counts[:, chosen].tocsr()[inverse]
    return StandardScaler(with_mean=False).fit_transform(matrix), [names[j] for j in chosen]


def _clusters(keys: Sequence[tuple[str, str]]) -> Ints:
    """Return the number of each row's cluster: rows that share a text or a group are in one."""
    parent: dict[tuple[int, str], tuple[int, str]] = {}

    def root(node: tuple[int, str]) -> tuple[int, str]:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for text, group in keys:
        parent[root((0, text))] = root((1, group))
    numbers: dict[tuple[int, str], int] = {}
    return np.asarray([numbers.setdefault(root((0, text)), len(numbers)) for text, _ in keys])


def _cross_validate(columns: Any, y: Ints, cluster: Ints, seed: int) -> tuple[Floats, Floats]:
    """Return out-of-fold scores, shape (n, n_labels), and the mean size of the weights."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    labels = np.unique(y)
    is_grouped = int(cluster.max()) + 1 < len(cluster)
    folds = (StratifiedGroupKFold if is_grouped else StratifiedKFold)(
        N_FOLDS, shuffle=True, random_state=seed
    )
    scores = np.tile((y[:, None] == labels).mean(axis=0), (len(y), 1))
    weights = np.zeros(columns.shape[1])
    for train, test in folds.split(columns, y, cluster if is_grouped else None):
        present = np.searchsorted(labels, np.unique(y[train]))
        if len(present) < 2 or not len(test):
            continue  # one big group holds nearly all: its rows keep an uninformative score
        model = LogisticRegression(C=_STRENGTH, tol=1e-3)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a ranking needs no last digit
            model.fit(columns[train], y[train])
        scores[test] = 0
        scores[np.ix_(test, present)] = model.predict_proba(columns[test])
        weights += np.abs(model.coef_).max(axis=0) / N_FOLDS
    return scores, weights


def _auc(scores: Floats, y: Ints, cluster: Ints) -> tuple[float, float]:
    """Return the AUC (mean over labels, each against the rest) and its corrected standard error.

    A row's influence on the AUC is the share of the other label's rows that it is rightly placed
    to, less the AUC; the variance is that of its sums by cluster.
    """
    labels = np.unique(y)
    labels = labels[1:] if len(labels) == 2 else labels
    influence, total = np.zeros(len(y)), 0.0
    for k, label in enumerate(labels):
        score = scores[:, k if len(labels) > 1 else 1]
        is_label = y == label
        n, m = int(is_label.sum()), int((~is_label).sum())
        ranks = _ranks(score)
        placed = np.empty(len(y))
        placed[is_label] = (ranks[is_label] - _ranks(score[is_label])) / m
        placed[~is_label] = 1 - (ranks[~is_label] - _ranks(score[~is_label])) / n
        auc = float(placed[is_label].mean())
        influence += np.where(is_label, (placed - auc) / n, (placed - auc) / m) / len(labels)
        total += auc / len(labels)
    sums = np.bincount(cluster, weights=influence)
    variance = len(sums) / (len(sums) - 1) * float(np.sum(sums**2))
    return total, float(np.sqrt(_FOLD_CORRECTION * variance))


def _ranks(scores: Floats) -> Floats:
    """Return ranks from 1; equal scores share the mean of theirs."""
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return ranks
