// Datagrams with a descriptor riding along (SCM_RIGHTS), and sealed memory files for what is larger
// than a datagram.
#include "node/plane_channel.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/linux/files.h"

namespace nines::node {

namespace {

constexpr std::size_t kPackedMax = 256u << 20;  // bytes of a packed configuration

void append_size(std::string& out, std::uint64_t size) {
  out.append(reinterpret_cast<const char*>(&size), sizeof size);
}

}  // namespace

Result<void> send_message(int channel, const ChannelMessage& message) {
  if (message.text.size() > kChannelTextMax) {
    return Error(ErrorCode::kExhausted,
                 "a message of more than " + std::to_string(kChannelTextMax) + " bytes");
  }
  char kind = static_cast<char>(message.kind);
  iovec parts[2] = {{&kind, 1}, {const_cast<char*>(message.text.data()), message.text.size()}};
  msghdr header{};
  header.msg_iov = parts;
  header.msg_iovlen = 2;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  if (message.descriptor) {
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    cmsghdr* const rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    const int descriptor = message.descriptor.get();
    std::memcpy(CMSG_DATA(rights), &descriptor, sizeof descriptor);
  }
  while (::sendmsg(channel, &header, MSG_NOSIGNAL) < 0) {
    if (errno != EINTR) return Error::from_errno(errno, "send to the other side of the plane");
  }
  return {};
}

Result<ChannelMessage> receive_message(int channel) {
  char bytes[kChannelTextMax + 1];
  iovec part{bytes, sizeof bytes};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  const ssize_t count = ::recvmsg(channel, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (count < 0) return Error::from_errno(errno, "receive from the other side of the plane");
  if (count == 0) return Error(ErrorCode::kReset, "the other side of the plane is gone");
  ChannelMessage message;
  message.kind = static_cast<ChannelMessage::Kind>(bytes[0]);
  message.text.assign(bytes + 1, static_cast<std::size_t>(count) - 1);
  for (cmsghdr* part_of = CMSG_FIRSTHDR(&header); part_of != nullptr;
       part_of = CMSG_NXTHDR(&header, part_of)) {
    if (part_of->cmsg_level != SOL_SOCKET || part_of->cmsg_type != SCM_RIGHTS) continue;
    int descriptor = -1;
    std::memcpy(&descriptor, CMSG_DATA(part_of), sizeof descriptor);
    message.descriptor = io::Descriptor(descriptor);
  }
  return message;
}

Result<io::Descriptor> pack_texts(const NamedTexts& texts) {
  io::Descriptor memory(::memfd_create("configuration", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memory) return Error::from_errno(errno, "memfd_create");
  std::string packed;
  append_size(packed, texts.size());
  for (const auto& [name, text] : texts) {
    append_size(packed, name.size());
    packed += name;
    append_size(packed, text.size());
    packed += text;
  }
  TRY(io::write_all(memory.get(), packed, "write to a memory file"));
  if (::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW) != 0) {
    return Error::from_errno(errno, "seal a memory file");
  }
  return memory;
}

Result<NamedTexts> unpack_texts(int descriptor) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) return Error::from_errno(errno, "fstat");
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size > kPackedMax) return Error(ErrorCode::kExhausted, "the configuration is too large");
  std::string packed(size, '\0');
  for (std::size_t done = 0; done < size;) {
    const ssize_t count =
        ::pread(descriptor, packed.data() + done, size - done, static_cast<off_t>(done));
    if (count <= 0) return Error::from_errno(errno, "read a memory file");
    done += static_cast<std::size_t>(count);
  }
  std::string_view rest = packed;
  const auto take_size = [&rest]() -> Result<std::uint64_t> {
    std::uint64_t value = 0;
    if (rest.size() < sizeof value) return Error(ErrorCode::kInvalid, "a cut configuration");
    std::memcpy(&value, rest.data(), sizeof value);
    rest.remove_prefix(sizeof value);
    return value;
  };
  const auto take_text = [&]() -> Result<std::string> {
    const std::uint64_t length = TRY(take_size());
    if (length > rest.size()) return Error(ErrorCode::kInvalid, "a cut configuration");
    std::string text(rest.substr(0, length));
    rest.remove_prefix(length);
    return text;
  };
  NamedTexts texts;
  const std::uint64_t count = TRY(take_size());
  for (std::uint64_t i = 0; i < count; ++i) {
    std::string name = TRY(take_text());
    std::string text = TRY(take_text());
    texts.emplace_back(std::move(name), std::move(text));
  }
  return texts;
}

}  // namespace nines::node
