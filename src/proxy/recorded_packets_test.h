// What MariaDB 10.11 with Galera 26.4 sent to a client, byte for byte, for the tests of what reads
// it. The password of `nines` was "secret".
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace nines::proxy::recorded {

inline std::string from_hex(std::string_view digits) {
  const auto value = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  std::string bytes;
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
    bytes += static_cast<char>(value(digits[i]) << 4 | value(digits[i + 1]));
  }
  return bytes;
}

inline std::string greeting() {
  return from_hex(
      "640000000a352e352e352d31302e31312e31392d4d6172696144422d302b64656231327531000d00"
      "0000567a233a3d635a7700fef7080200ff81150000000000001d0000006a304e7524514a622c523b"
      "6f006d7973716c5f6e61746976655f70617373776f726400");
}
inline constexpr std::string_view kChallenge = "Vz#:=cZwj0Nu$QJb,R;o";

inline std::string login_ok() { return from_hex("0700000200000002000000"); }

inline std::string login_denied() {
  return from_hex(
      "49000002ff15042332383030304163636573732064656e69656420666f72207573657220276e696e"
      "65732740273132372e302e302e312720287573696e672070617373776f72643a2059455329");
}

// The user's method was ed25519.
inline std::string switch_to_ed25519() {
  return from_hex(
      "30000002fe636c69656e745f6564323535313900a1f84e8d173e5c3abd2f63b7ca200d59a6da1411"
      "64220a75f5286b365a1d01ad");
}

// The client had begun with another method.
inline std::string switch_to_native() {
  return from_hex(
      "2c000002fe6d7973716c5f6e61746976655f70617373776f726400567a233a3d635a776a304e7524"
      "514a622c523b6f00");
}

inline std::string status_columns() {
  return from_hex(
      "01000001025e0000020364656612696e666f726d6174696f6e5f736368656d610e53455353494f4e"
      "5f5354415455530e53455353494f4e5f5354415455530d5661726961626c655f6e616d650d564152"
      "4941424c455f4e414d450c2100c0000000fd0110000000570000030364656612696e666f726d6174"
      "696f6e5f736368656d610e53455353494f4e5f5354415455530e53455353494f4e5f535441545553"
      "0556616c75650e5641524941424c455f56414c55450c210000300000fd011000000005000004fe00"
      "002200");
}

inline std::string status_synced() {
  return status_columns() +
         from_hex(
             "140000051177737265705f6c6f63616c5f737461746501341d0000061477737265705f636c757374"
             "65725f737461747573075072696d6172790f0000070b77737265705f7265616479024f4e05000008"
             "fe00000200");
}

inline std::string status_desynced() {
  return status_columns() +
         from_hex(
             "140000051177737265705f6c6f63616c5f737461746501321d0000061477737265705f636c757374"
             "65725f737461747573075072696d6172790f0000070b77737265705f7265616479024f4e05000008"
             "fe00000200");
}

inline std::string status_disconnected() {
  return status_columns() +
         from_hex(
             "140000051177737265705f6c6f63616c5f73746174650130220000061477737265705f636c757374"
             "65725f7374617475730c446973636f6e6e6563746564100000070b77737265705f7265616479034f"
             "464605000008fe00000200");
}

}  // namespace nines::proxy::recorded
