ferry_test(base_gpu_test SOURCES gpu/base_gpu_test.cpp LIBS ferry::base LABELS gpu)
