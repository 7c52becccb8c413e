ferry_test(base_gpu_test SOURCES gpu/base_gpu_test.cpp support/gpu_device.cpp LIBS ferry::base LABELS gpu)
