import keras
import numpy as np
import pytest
import tensorflow as tf

from cross_modal.losses import Agreement, Contrastive, Cost, SquaredError

ALL = [[True]]


def vectors(batch=3, views=2, dim=4, seed=0):
    return np.random.default_rng(seed).normal(size=(batch, views, dim)).astype("float32")


def truth(kinds, items=None, contents=None):
    """Labels of kinds `(batch, views)`; by default every item and every content is another."""
    kinds = np.asarray(kinds)
    items = np.arange(len(kinds)) if items is None else np.asarray(items)
    contents = 100 + np.arange(kinds.size).reshape(kinds.shape) if contents is None else np.asarray(contents)
    return np.stack([kinds, np.broadcast_to(items[:, None], kinds.shape), contents], -1)


def expected(y_true, y_pred, routes):
    """The definition, cell by cell: mean of -log softmax of the right answer among the allowed ones."""
    routes, losses = np.asarray(routes), []
    batch, views = y_pred.shape[:2]
    for a in range(views):
        for b in range(views):
            if a == b:
                continue
            for i in range(batch):
                kind, item, content = y_true[i, a]
                if kind < 0 or y_true[i, b, 0] < 0 or not routes[kind, y_true[i, b, 0]]:
                    continue
                right = float(y_pred[i, a].astype(float) @ y_pred[i, b].astype(float))
                total = np.exp(right)
                for j in range(batch):
                    other, other_item, other_content = y_true[j, b]
                    if j == i or other < 0 or not routes[kind, other]:
                        continue
                    if other_item == item or other_content == y_true[i, b, 2] or y_true[j, a, 2] == content:
                        continue
                    total += np.exp(float(y_pred[i, a].astype(float) @ y_pred[j, b].astype(float)))
                losses.append(np.log(total) - right)
    return float(np.mean(losses)) if losses else 0.0


def value(y_true, y_pred, routes):
    """The loss as Keras takes it, eager and in a graph."""
    loss = Contrastive(routes)
    eager = float(loss(y_true, y_pred))
    graph = float(tf.function(lambda y, x: loss(y, x))(tf.constant(y_true), tf.constant(y_pred)))
    assert eager == pytest.approx(graph, rel=1e-5, abs=1e-7)
    per_item = np.asarray(loss.call(y_true, y_pred))
    assert per_item.shape == (len(y_pred),)
    assert per_item.mean() == pytest.approx(eager, rel=1e-5, abs=1e-7)
    return eager


def test_three_items_by_hand():
    a = np.array([[1, 0], [0, 1], [1, 1]], "float32")
    b = np.array([[2, 0], [0, 1], [0, 3]], "float32")
    logits = np.array([[2, 0, 0], [0, 1, 3], [2, 1, 3]], float)  # a @ b.T
    by_row = np.log(np.exp(logits).sum(1)) - np.diag(logits)
    by_column = np.log(np.exp(logits).sum(0)) - np.diag(logits)
    assert value(truth([[0, 0]] * 3), np.stack([a, b], 1), ALL) == pytest.approx(np.concatenate([by_row, by_column]).mean(), rel=1e-5)


def test_masked_route_by_hand():
    """Kinds 0 and 1 are trained together, kind 2 with none: the second view of item 2 is no right answer and no wrong one."""
    a = np.array([[1, 0], [0, 1], [1, 1]], "float32")
    b = np.array([[2, 0], [0, 1], [0, 3]], "float32")
    routes = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]], bool)
    rows = np.log(np.exp([[2.0, 0], [0, 1]]).sum(1)) - [2, 1]
    columns = np.log(np.exp([[2.0, 0], [0, 1], [2, 1]]).sum(0)) - [2, 1]  # The first view of item 2 is of kind 0, and so a wrong answer to kind 1.
    assert value(truth([[0, 1], [0, 1], [0, 2]]), np.stack([a, b], 1), routes) == pytest.approx(np.concatenate([rows, columns]).mean(), rel=1e-5)
    assert value(truth([[0, 1], [0, 1], [2, 2]]), np.stack([a, b], 1), routes) == pytest.approx(np.concatenate([rows, rows]).mean(), rel=1e-5)


def test_absent_view_by_hand():
    a = np.array([[1, 0], [0, 1], [1, 1]], "float32")
    b = np.array([[2, 0], [0, 1], [0, 3]], "float32")
    logits = np.array([[2, 0], [0, 1], [2, 1]], float)  # Item 2 lacks its second view: a row for neither, but its first is a wrong answer to columns.
    rows = np.log(np.exp(logits[:2]).sum(1)) - [2, 1]
    columns = np.log(np.exp(logits).sum(0)) - [2, 1]
    assert value(truth([[0, 0], [0, 0], [0, -1]]), np.stack([a, b], 1), ALL) == pytest.approx(np.concatenate([rows, columns]).mean(), rel=1e-5)


CASES = {
    "three views": (truth([[0, 0, 0]] * 4), ALL),
    "same content in one view": (truth([[0, 0]] * 4, contents=[[1, 5], [2, 5], [3, 6], [4, 7]]), ALL),
    "same content in both views": (truth([[0, 0]] * 4, contents=[[1, 5], [1, 5], [3, 6], [4, 5]]), ALL),
    "same item twice": (truth([[0, 0]] * 4, items=[0, 1, 0, 2]), ALL),
    "kinds": (truth([[0, 1, 2], [0, 1, 2], [0, 2, 1], [1, 1, 0]]), [[0, 1, 0], [1, 1, 1], [0, 1, 0]]),
    "absent views": (truth([[0, 1, -1], [-1, 1, 0], [0, -1, -1], [0, 1, 1]]), [[1, 1], [1, 1]]),
    "route from a kind to itself": (truth([[0, 0, 1]] * 4), [[1, 0], [0, 0]]),
    "all at once": (
        truth([[0, 1, 2], [0, -1, 2], [2, 1, 0], [0, 1, -1]], items=[0, 1, 1, 2], contents=[[1, 2, 3], [1, -1, 4], [5, 2, 6], [7, 8, -1]]),
        [[0, 1, 1], [1, 0, 0], [1, 0, 1]],
    ),
}


@pytest.mark.parametrize("y_true, routes", CASES.values(), ids=CASES)
@pytest.mark.parametrize("scale", [1, 4])
def test_the_definition(y_true, routes, scale):
    y_pred = scale * vectors(*y_true.shape[:2])
    assert value(y_true, y_pred, np.asarray(routes, bool)) == pytest.approx(expected(y_true, y_pred, np.asarray(routes, bool)), rel=1e-4, abs=1e-6)


def test_an_item_twice_in_a_batch_is_no_wrong_answer():
    y_pred = vectors(2)
    assert value(truth([[0, 0]] * 2, items=[7, 7]), y_pred, ALL) == pytest.approx(0, abs=1e-6)
    assert value(truth([[0, 0]] * 2, items=[7, 8]), y_pred, ALL) > 0.01


def test_absence_is_not_a_content():
    """Absent views share the key -1; what stands beside them is still a wrong answer."""
    y_true = truth([[0, 0, -1], [0, 0, -1], [0, 0, -1]], contents=[[1, 2, -1], [3, 4, -1], [5, 6, -1]])
    y_pred = vectors(3, 3)
    assert value(y_true, y_pred, ALL) == pytest.approx(value(y_true[:, :2], y_pred[:, :2], ALL), rel=1e-5)


def test_what_an_absent_view_holds_does_not_matter():
    y_true = truth([[0, 0], [0, -1], [0, 0]])
    one, other = vectors(), vectors()
    other[1, 1] = 50
    assert value(y_true, one, ALL) == pytest.approx(value(y_true, other, ALL), rel=1e-6)


@pytest.mark.parametrize(
    "y_true, routes", [(truth([[0, -1], [-1, 0]]), ALL), (truth([[0, 1]] * 2), [[1, 0], [0, 1]]), (truth([[-1, -1]] * 2), ALL)], ids=["absent", "no route", "nothing"]
)
def test_nothing_to_learn_costs_nothing(y_true, routes):
    y_pred = tf.Variable(vectors(2))
    with tf.GradientTape() as tape:
        loss = Contrastive(routes)(y_true, y_pred)
    assert float(loss) == 0
    gradient = tape.gradient(loss, y_pred)
    assert gradient is None or (np.asarray(gradient) == 0).all()


def test_a_perfect_and_a_blind_model():
    y_true = truth([[0, 0]] * 5)
    assert value(y_true, np.full((5, 2, 4), 0.3, "float32"), ALL) == pytest.approx(np.log(5), rel=1e-5)
    assert value(y_true, 10 * np.stack([np.eye(5)] * 2, 1).astype("float32"), ALL) == pytest.approx(0, abs=1e-6)


def test_gradients_are_finite_and_follow_the_route():
    y_true = truth([[0, 1, 2]] * 3)
    y_pred = tf.Variable(30 * vectors(3, 3))
    with tf.GradientTape() as tape:
        loss = Contrastive([[0, 1, 0], [1, 0, 0], [0, 0, 0]])(y_true, y_pred)
    gradient = np.asarray(tape.gradient(loss, y_pred))
    assert np.isfinite(gradient).all() and np.abs(gradient[:, :2]).max() > 0
    assert (gradient[:, 2] == 0).all()  # Not trained on, not even as wrong answers.


def test_numbers_of_items_may_be_large_and_near():
    """Keras makes the numbers float32 on the way: up to 2**24 they stay apart."""
    near = 2**24 - 10
    plain = truth([[0, 0]] * 3)
    hashed = truth([[0, 0]] * 3, items=[near, near + 1, near + 2], contents=near - 20 + np.arange(6).reshape(3, 2))
    assert float(Contrastive(ALL)(hashed, vectors())) == pytest.approx(float(Contrastive(ALL)(plain, vectors())), rel=1e-5)


def test_half_precision_is_computed_in_full():
    y_true, y_pred = truth([[0, 0]] * 3), 3 * vectors()
    half = float(Contrastive(ALL)(y_true, tf.cast(y_pred, tf.float16)))
    assert half == pytest.approx(expected(y_true, y_pred, np.asarray(ALL)), rel=2e-2)


def test_compiled_with_a_model_and_reloaded(tmp_path):
    inputs = keras.Input((2, 4))
    model = keras.Model(inputs, keras.layers.Dense(4)(inputs))
    model.compile("sgd", loss=Contrastive([[True, False], [False, True]]))
    y_true = truth([[0, 0]] * 3)
    before = float(model.evaluate(vectors(), y_true, verbose=0))
    assert before == pytest.approx(expected(y_true, np.asarray(model(vectors())), np.eye(2, dtype=bool)), rel=1e-4)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.evaluate(vectors(), y_true, verbose=0) == pytest.approx(before, rel=1e-5)
    assert again.loss.get_config()["routes"] == [[True, False], [False, True]]


@pytest.mark.parametrize("routes, shape", [([True], r"\(1,\)"), ([[True, False]], r"\(1, 2\)"), ([[True, True], [False, True]], r"\(2, 2\)")])
def test_routes_error_says_what_came(routes, shape):
    with pytest.raises(ValueError, match=f"Expected `routes` to be a symmetric square. Received: an array of shape {shape}"):
        Contrastive(routes)


def test_weights_of_routes_by_hand():
    """Two routes of which one counts three times as much."""
    y_true, y_pred = truth([[0, 1], [0, 1], [2, 1], [2, 1]]), vectors(batch=4)
    plain = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], float)
    heavy = np.array([[0, 3, 0], [3, 0, 1], [0, 1, 0]], float)
    first, second = (np.where(plain * mask, 1.0, 0.0) for mask in (np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0]]), np.array([[0, 0, 0], [0, 0, 1], [0, 1, 0]])))
    rows = np.asarray(Contrastive(plain.tolist()).call(y_true, y_pred)) * 1.0
    weighted = np.asarray(Contrastive(heavy.tolist()).call(y_true, y_pred))
    assert weighted.sum() == pytest.approx((3 * rows[:2].sum() + rows[2:].sum()) / 2, rel=1e-5)
    assert first.sum() == second.sum() == 2


@pytest.mark.parametrize("kind", ["info_nce", "sigmoid", "triplet"])
def test_each_of_several_spaces_learns_as_if_alone(kind):
    y_true, spaces = truth([[0, 0]] * 3), [vectors(seed=seed) for seed in range(3)]
    loss = Contrastive(ALL, kind, spaces=3)
    alone = [float(Contrastive(ALL, kind)(y_true, one)) for one in spaces]
    assert float(loss(y_true, np.concatenate(spaces, 2) / 3**0.5)) == pytest.approx(sum(alone), rel=1e-5)
    assert Contrastive.from_config(loss.get_config()).spaces == 3


def test_sigmoid_by_hand():
    y_pred = vectors(batch=3)
    logits = y_pred[:, 0] @ y_pred[:, 1].T
    cells = np.log1p(np.exp(-(2 * np.eye(3) - 1) * (logits - np.log(2))))
    assert float(Contrastive(ALL, "sigmoid")(truth([[0, 0]] * 3), y_pred)) == pytest.approx(cells.sum(axis=1).mean(), rel=1e-5)


def test_triplet_by_hand():
    """Right answers at cosine 1, 1 and 0; the nearest wrong ones at 0, 0 and 1."""
    scale = 3.0
    a = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], "float32")
    b = np.array([[1, 0, 0], [0, 0, 1], [0, 1, 0]], "float32")
    y_pred = np.stack([a, b], 1) * scale
    cosines = a @ b.T
    rows = []
    for table in (cosines, cosines.T):
        for i in range(3):
            rows.append(max(0.0, 0.2 + max(table[i, j] for j in range(3) if j != i) - table[i, i]))
    assert float(Contrastive(ALL, "triplet")(truth([[0, 0]] * 3), y_pred)) == pytest.approx(np.mean(rows), rel=1e-5)
    assert rows[0] == 0.0 and max(rows) == pytest.approx(1.2)


@pytest.mark.parametrize("kind", ["info_nce", "sigmoid", "triplet"])
def test_what_is_held_out_has_no_gradient_in_any_loss(kind):
    y_pred = tf.Variable(vectors(batch=4, views=3))
    y_true = truth([[0, 1, 2]] * 4)
    with tf.GradientTape() as tape:
        loss = Contrastive([[0, 1, 0], [1, 0, 0], [0, 0, 0]], kind)(y_true, y_pred)
    gradient = tape.gradient(loss, y_pred).numpy()
    assert np.abs(gradient[:, :2]).max() > 1e-3 and not gradient[:, 2].any()


def test_unknown_kind_is_told():
    with pytest.raises(ValueError, match="one of info_nce, sigmoid, triplet. Received: kind=clip"):
        Contrastive(ALL, "clip")


def test_squared_error_by_hand():
    y_true, y_pred = np.zeros((2, 2, 1, 1), "float32"), np.array([[[[1]], [[3]]], [[[0]], [[2]]]], "float32")
    assert np.asarray(SquaredError().call(y_true, y_pred)).tolist() == pytest.approx([5.0, 2.0])


def test_squared_error_of_steps_by_hand():
    """The second step is not there: its value does not matter, but that it is told to be there does."""
    y_true = np.array([[[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]], "float32")
    y_pred = np.array([[[0.0, 3.0, 2.0], [9.0, 9.0, 1.0]]], "float32")
    ends = (np.log(1 + np.exp(-2.0)) + np.log(1 + np.exp(1.0))) / 2
    assert float(np.asarray(SquaredError(steps=True).call(y_true, y_pred))[0]) == pytest.approx((1.0 + 4.0) / 2 + ends, rel=1e-5)
    assert SquaredError.from_config(SquaredError(steps=True).get_config()).steps


def test_cost_is_what_the_model_says():
    assert float(Cost()(np.zeros((2, 1)), np.array([[1.0], [4.0]], "float32"))) == pytest.approx(2.5)


def test_agreement_by_hand():
    """Two of item 0 at a right angle to each other, one of item 1 like the first, one that does not take part: cosines 0, 1 and 0 over a temperature of 1."""
    vectors = np.array([[2.0, 0.0], [0.0, 3.0], [1.0, 0.0], [5.0, 5.0]], "float32")
    rows = np.asarray(Agreement(1.0).call(np.array([[0], [0], [1], [-1]]), vectors))
    first, second = -np.log(1 / (1 + np.e)), -np.log(1 / (1 + 1))
    assert rows == pytest.approx([2 * first, 2 * second, 0, 0], abs=1e-5)  # Two of four rows count: their mean is that of all.
    assert np.asarray(Agreement().call(np.array([[0], [1]]), vectors[:2])).tolist() == [0, 0]
