# Any OpenCL 1.2 device. This file defines every key; other profiles change numbers (README.md).

memory.alignment_bytes = 128        # of every offset; the device's own base alignment is folded in
memory.max_allocation_bytes = 0     # largest single buffer; 0: the device's own
memory.max_chunks = 64              # buffers of one plan

launch.max_work_group_size = 0      # 0: the device's own
launch.local_memory_bytes = 0       # 0: the device's own
launch.group_x = 1                  # work-group shape of kernels without a <stem>.group_x of their own
launch.group_y = 1
launch.group_z = 1

common.chunk = 16                   # pixels of one elementwise work-item

conv2d.vector = 8                   # output channels of one work-item
conv2d.tile = 4                     # most output pixels of one work-item
conv2d.block = 8                    # input channels of one weight-gradient work-item
conv2d.weight_items = 512           # wished number of weight-gradient work-items
conv2d.band_bytes = 1M              # scratch for decoding a band of images

conv2d_pooled.chunk = 16            # blocks of one pooled-gradient work-item

batchnorm.split_pixels = 512        # pixels of one partial sum
