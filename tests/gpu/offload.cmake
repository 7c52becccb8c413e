ferry_test(offload_gpu_test SOURCES gpu/offload_gpu_test.cpp LIBS ferry_offload_toy LABELS gpu TIMEOUT 300)
