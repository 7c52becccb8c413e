ferry_test(kernels_test SOURCES unit/kernels_test.cpp LIBS ferry::model)
