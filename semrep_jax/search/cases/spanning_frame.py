# What a candidate of minimum spanning trees stands above: Kruskal's algorithm in stages. The candidate's marks (0 to
# 64) say up to which weight, in 64ths of the heaviest, the edges of each stage go; a stage looks at all edges, sorts
# its own and takes those that close no cycle, and the tree is done as soon as it spans. Few light edges at first:
# little to sort. Marks that end too low leave edges out, and then the tree does not span.


def spanned(n: int, weights: list[int], marks: list[int]) -> list[list[int]]:
    from bisect import bisect

    rows = [i * n - i * (i + 1) // 2 for i in range(n)]
    root = list(range(n))
    tree: list[list[int]] = []
    low = 0
    for mark in [min(max(int(mark), 0), 64) for mark in marks[:64]]:
        high = 1000 * mark // 64
        stage = sorted((weight, place) for place, weight in enumerate(weights) if low <= weight < high)
        for _, place in stage:
            i = bisect(rows, place) - 1
            j = place - rows[i] + i + 1
            a, b = i, j
            while root[a] != a:
                root[a] = root[root[a]]
                a = root[a]
            while root[b] != b:
                root[b] = root[root[b]]
                b = root[b]
            if a != b:
                root[a] = b
                tree.append([i, j])
        if len(tree) == n - 1:
            return tree
        low = high
    return tree
