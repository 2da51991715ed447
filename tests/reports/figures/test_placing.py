"""Labels beside points."""

from __future__ import annotations

import random

from reports.figures import placing


def test_a_point_alone_has_its_label_beside_it():
    assert placing.place([(0.5, 0.5)], ["0.75-192"], [], []) == ["top left"]


def test_a_label_stays_inside():
    names = placing.place([(0.0, 0.0), (1.0, 1.0)], ["0.75-192"] * 2, [], [])
    assert names == ["top right", "bottom left"]


def test_a_label_crosses_no_line_where_it_need_not():
    rising = placing.stroke((0.5, 0.5), (0.5, 1.0))
    left = placing.stroke((0.0, 0.55), (0.5, 0.55))
    assert placing.place([(0.5, 0.5)], ["0.75-192"], [], [rising, left]) == ["bottom right"]


def test_a_label_does_not_seem_to_belong_to_a_neighbour():
    names = placing.place([(0.5, 0.5), (0.5, 0.54)], ["lower", "upper"], [], [])
    assert names[0].startswith("bottom")
    assert names[1].startswith("top")


def test_a_label_without_room_is_left_out():
    crowd = [(x / 40, y / 40) for x in range(41) for y in range(41)]
    assert placing.place([(0.5, 0.5)], ["0.75-192"], crowd, []) == [""]


def test_labels_never_overlap():
    draw = random.Random(1)
    points = [(draw.random(), draw.random()) for _ in range(30)]
    names = placing.place(points, ["0.75-192"] * 30, [], [])
    boxes = [placing.label_box(point, "0.75-192", name) for point, name in zip(points, names, strict=True) if name]
    assert len(boxes) > 15
    assert not any(one.overlaps(other) for k, one in enumerate(boxes) for other in boxes[:k])
