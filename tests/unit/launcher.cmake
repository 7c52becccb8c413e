ferry_test(launcher_test SOURCES unit/launcher_options_test.cpp unit/launcher_settings_test.cpp
  unit/launcher_spawn_test.cpp unit/launcher_check_test.cpp LIBS ferry::launcher)
