# The two commands a newcomer needs are `make demo` and `make test`; everything else is CMake's.
.PHONY: help demo test check build setup clean

help:
	@echo "make demo    install what is missing, build, and make a video with the small model"
	@echo "make test    install what is missing, build everything, run all tests"
	@echo "make build   install what is missing and build the program, build/launcher/ferry"
	@echo "make check   format, lint, include direction and references"
	@echo "make clean   remove build/ and out/"

demo:
	@tools/setup.sh build
	@tools/build.sh ferry
	@build/launcher/ferry demo

build:
	@tools/setup.sh build
	@tools/build.sh ferry

test:
	@tools/setup.sh test
	@tools/build.sh all
	@tools/run_tests.sh

check:
	@tools/setup.sh check
	@tools/check_style.sh

clean:
	rm -rf build out
