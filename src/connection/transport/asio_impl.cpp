// The one place where Asio itself is compiled.
#include <asio/impl/src.hpp>
