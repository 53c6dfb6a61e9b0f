# Any OpenCL 1.2 device. This file defines every key, and in brackets what it may be and what is worth trying, those
# that matter most first; other profiles change numbers (README.md).

memory.alignment_bytes = 128                         # of every offset; the device's own base alignment is folded in
memory.max_allocation_bytes = 0                      # largest single buffer; 0: the device's own
memory.total_bytes = 0                               # of all buffers together; 0: the device's own
memory.max_chunks = 64                               # buffers of one plan

launch.max_work_group_size = 0                       # 0: the device's own
launch.local_memory_bytes = 0                        # 0: the device's own
launch.group_x = 1 [1..4096: 1 8 16 32 64 128 256]   # work-group shape of kernels without a <stem>.group_x
launch.group_y = 1 [1..4096: 1 4 16 64]
launch.group_z = 1 [1..4096]
launch.driver_cache = 0 [0 1]                        # 1: the driver keeps programs as well as our cache would

conv2d.vector = 8 [1 2 4 8 16]                       # output channels of a vector
conv2d.vectors = 1 [1 2 3 4]                         # such vectors of one work-item
conv2d.tile = 4 [1..16: 2 4 6 8 10 12 14 16]         # output pixels of one work-item, if it has that many vectors
conv2d.tile_most = 4 [1..32: 4 8 12 14 16]           # ... and the most, where more leave less of a row over
conv2d.items = 0 [0..1M: 0 32 128 512]               # wished number of work-items; 0: as many as there are tiles
conv2d.scratch_bytes = 0 [0..1M: 0 32K 64K 128K 256K]   # private memory of a work-item; 0: 1x1 windows with strides are as others
conv2d.pack = 0 [0 1]                                # 1: forward reads weights packed by block of output channels
conv2d.blocks_last = 0 [0 1]                         # 1: a block of output channels meets all pixels before the next
conv2d.block = 8 [1..64: 2 4 8 16 32]                # input channels of one weight-gradient work-item
conv2d.weight_items = 512 [1..1M: 16 64 256 1024 4096] # wished number of weight-gradient work-items
conv2d.partial_bytes = 1M [1..1G: 256K 1M 4M]        # most partial sums of a weight gradient
conv2d.band_bytes = 1M [1..1G: 64K 256K 1M 4M]       # scratch for decoding a band of images

conv2d_weight.scratch_bytes = 0 [0..1M: 0 32K 64K 128K 256K] # private memory of a work-item; 0: conv2d's own kernel
conv2d_weight.vectors = 1 [1 2 3 4]                  # vectors of its register tile
conv2d_weight.rows = 4 [1..32: 2 4 6 8 10 12 14 16]  # most rows of a register tile with that many vectors

conv2d_tiled.rows = 0 [0 16 32 64 128]               # rows of a work-group's tile in local memory; 0: never used
conv2d_tiled.columns = 64 [16 32 64 128]             # ... and columns
conv2d_tiled.item_rows = 4 [1 2 4 8]                 # rows of a work-item's register tile
conv2d_tiled.item_columns = 4 [1 2 4 8]              # ... and columns
conv2d_tiled.depth = 16 [8 16 32]                    # products of one step
conv2d_tiled.vector = 4 [1 2 4 8]                    # floats of a vector
conv2d_tiled.groups = 512 [1..64K: 128 256 512 1024] # most work-groups that sums are split for
conv2d_tiled.split_depth = 256 [1..1M: 128 256 512 1024] # fewest products of such a split

conv2d_depthwise.tile = 8 [1..16: 1 2 4 8 16]        # most pixels of a row that a work-item holds in registers
conv2d_depthwise.rows = 1 [1..64: 1 2 4 8 16]        # output rows of a work-item
conv2d_depthwise.blocks = 1 [1..1M: 1 2 4 16 64 1M]  # vectors (conv2d.vector) of channels of a work-item
conv2d_depthwise.weight_items = 512 [1..1M: 16 64 256 1024 4096] # wished number of weight-gradient work-items

gemm.library = 0 [0 1]                               # 1: 1x1 convolutions by CLBlast, if the build has it
gemm.library_least = 65536 [1..1M]                   # ... where they are at least so many multiply-adds

conv2d_pooled.chunk = 16 [1..64K: 4 16 64]           # blocks of one pooled-gradient work-item

winograd.scratch_bytes = 0 [0..1M: 0 256K 512K 960K] # private memory of a work-item; 0: never used
winograd.output = 4 [2 4]                            # outputs of a tile along an axis; 2 has a third of the rounding error
winograd.vectors = 4 [1 2 3 4]                       # vectors (conv2d.vector) of its register tile
winograd.rows = 6 [1..24: 4 6 8]                     # most rows of a register tile with that many vectors
winograd.tiles = 48 [1..1K: 24 48 96]                # most tiles of a work-item
winograd.channels = 64 [1..1K: 32 64 128]            # most channels of a work-item
winograd.items = 8 [1..1K: 8 16 32]                  # wished number of work-items
winograd.min_channels = 16 [1..1M: 16 32 64]         # fewer, of input or output: plain convolution
winograd.min_tiles = 16 [1..1M]                      # fewer, of all images: plain convolution
winograd.min_saving = 220 [1..1K]                    # less, in plain multiplications for 100 of its own: plain
winograd.group_x = 1 [1]                             # its kernels take no other group
winograd.group_y = 1 [1]
winograd.group_z = 1 [1]

batchnorm.split_octets = 512 [1..1M: 128 512 2048]   # octets of one work-item that sums up, at least
batchnorm.splits = 1024 [1..64K: 32 64 128 1024]     # partial sums, at most
batchnorm.combine = 0 [0 1]                          # 1: the last pass combines the partial sums, a launch less

common.chunk = 16 [1..64K: 1 2 4 8 16 32 64 256 1024 2048 4096] # octets (cl/common.cl) of one elementwise work-item
common.octets = 1 [1..128: 1 8 16 64]                # of these, octets side by side; private arrays of that length

update.chunk = 64 [1..64K: 8 64 256 1024 4096]       # elements of one work-item of an optimizer's update
update.block = 4096 [1..1M]                          # elements of one partial sum of the gradients' norm
update.wait_bytes = 256K [1..1G: 64K 256K 1M 4M]     # most gradient bytes that wait to be updated in one launch
update.moment_octets = 32 [1..128]                   # octets of an 8-bit moment that share a scale, one work-item's
update.moment_least = 4096 [1..1M]                   # fewer elements: moments stay in float32
