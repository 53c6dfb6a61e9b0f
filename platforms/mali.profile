# Arm Mali and Immortalis GPUs, Midgard to Valhall: float4 vectors, no dedicated local memory.
parent = default
match.device = mali|immortalis
match.type = gpu

launch.group_x = 64
common.chunk = 2
conv2d.vector = 4
conv2d.block = 4
update.chunk = 8
