# What a candidate of circle packing stands before: it runs contained, below the candidate's own text. Twenty-six marks
# (0 to 9, how large each circle starts) become a packing: centres in five rows, 240 steps up the sum of radii with
# overlaps pushed apart ever harder, then the largest radii that the centres take one after the other.


def packed(marks: list[int]) -> str:
    marks = [min(max(int(mark), 0), 9) for mark in marks[:26]]
    if not marks:
        raise ValueError("no marks")
    r = [0.05 + 0.01 * marks[i % len(marks)] for i in range(26)]
    x = [(place + 0.4 + 0.2 * (row % 2)) / count for row, count in enumerate((5, 5, 6, 5, 5)) for place in range(count)]
    y = [(row + 0.5) / 5 for row, count in enumerate((5, 5, 6, 5, 5)) for _ in range(count)]
    near: list[tuple[int, int]] = []
    for step in range(240):
        if step % 12 == 0:
            close = [(i, j) for i in range(26) for j in range(i)]
            near = [(i, j) for i, j in close if abs(x[i] - x[j]) < 0.36 and abs(y[i] - y[j]) < 0.36]
        climb(x, y, r, near, hardness=16 + 4 * step / 3)
    return fitted(x, y, r)


def climb(x: list[float], y: list[float], r: list[float], near: list[tuple[int, int]], hardness: float) -> None:
    gx, gy, gr = [0.0] * 26, [0.0] * 26, [1.0] * 26
    for i in range(26):
        left, right, low, high = r[i] - x[i], r[i] + x[i] - 1, r[i] - y[i], r[i] + y[i] - 1
        gx[i] += hardness * (max(left, 0.0) - max(right, 0.0))
        gy[i] += hardness * (max(low, 0.0) - max(high, 0.0))
        gr[i] -= hardness * (max(left, 0.0) + max(right, 0.0) + max(low, 0.0) + max(high, 0.0))
    for i, j in near:
        dx, dy = x[i] - x[j], y[i] - y[j]
        distance = (dx * dx + dy * dy) ** 0.5 + 1e-12
        over = r[i] + r[j] - distance
        if over > 0:
            push = hardness * over
            gx[i] += push * dx / distance
            gy[i] += push * dy / distance
            gx[j] -= push * dx / distance
            gy[j] -= push * dy / distance
            gr[i] -= push
            gr[j] -= push
    rate = 0.16 / hardness
    for i in range(26):
        x[i] = min(max(x[i] + rate * gx[i], 0.01), 0.99)
        y[i] = min(max(y[i] + rate * gy[i], 0.01), 0.99)
        r[i] = max(r[i] + rate * gr[i], 0.001)


def fitted(x: list[float], y: list[float], r: list[float]) -> str:
    import json

    n = len(x)
    wall = [min(x[i], 1 - x[i], y[i], 1 - y[i]) for i in range(n)]
    d = [[((x[i] - x[j]) ** 2 + (y[i] - y[j]) ** 2) ** 0.5 for j in range(n)] for i in range(n)]
    fits = [wall[i] / r[i] for i in range(n)] + [d[i][j] / (r[i] + r[j]) for i in range(n) for j in range(i)]
    r = [min(1.0, *fits) * radius for radius in r]
    for _ in range(3):
        for i in sorted(range(n), key=lambda k: -r[k]):
            r[i] = max(min(wall[i], min(d[i][j] - r[j] for j in range(n) if j != i)), r[i])
    # rounding of a float is not to make two circles overlap
    return json.dumps([[x[i], y[i], r[i] * (1 - 1e-12)] for i in range(n)])
