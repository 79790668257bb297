// Identity files that are none: said as they are, and waited for by nobody.
#include <doctest/doctest.h>

#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "drivers/assembly/identity.hpp"
#include "storage/temporary_folder.hpp"

using namespace gossamer;

TEST_CASE("a folder or a pipe in the place of a key is named, and a start does not wait for it") {
    const TemporaryFolder here;
    const auto key = here.path + "/key.pem";
    const auto why = [&] {
        const auto identity = assembly::load_identity(here.path, Role::peer, WallTime{0});
        REQUIRE_FALSE(identity);
        return identity.error().what;
    };
    std::filesystem::create_directory(key);
    CHECK(why() == key + " is not a file");
    std::filesystem::remove(key);
    REQUIRE(::mkfifo(key.c_str(), 0600) == 0);
    CHECK(why() == key + " is not a file");
    std::filesystem::remove(key);
    std::ofstream(key) << "a secret";
    REQUIRE(::chmod(key.c_str(), 0644) == 0);
    CHECK(why() == key + " can be read by others");
    REQUIRE(::chmod(key.c_str(), 0600) == 0);
    CHECK(why().find("certificate.pem") != std::string::npos);  // the next to be missed
}
