# The same where the processor's vectors hold 4 floats or fewer (SSE, NEON).
parent = pocl-cpu
match.platform = portable computing language
match.type = cpu
match.vector = 1|2|4

conv2d.vector = 4
conv2d.tile = 6
conv2d.tile_most = 7
conv2d.block = 8
conv2d_weight.rows = 6
