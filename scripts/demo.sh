#!/bin/sh
# demo.sh [options of fashion_mnist]: installs what is missing, builds, and trains a classifier on Fashion-MNIST.
# Options: demo.sh --help
set -eu
here=$(dirname "$0")
"$here/install.sh" build
"$here/build.sh" "$here/../build" -DOCLIN_BUILD_TESTS=OFF
exec "$here/../build/examples/fashion_mnist" "$@"
