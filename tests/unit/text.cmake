ferry_test(text_test SOURCES unit/text_clean_test.cpp unit/text_defaults_test.cpp unit/text_golden_test.cpp
  unit/text_tokenizer_test.cpp unit/text_umt5_test.cpp support/cpu_device.cpp LIBS ferry_test_support)
