// The file of the cluster's key: read only when nobody else could have read or written it, written
// only where nothing stands.
#pragma once

#include <string>

#include "base/result.h"
#include "cluster/cluster_key.h"

namespace nines::cluster {

// A regular file of root or of the user we are, with no right for group or others in its mode
// (0600 or stricter). kRefused says what it has and what to type; kInvalid what is wrong within;
// errors name the file. Blocking.
Result<ClusterKeys> read_key_file(const std::string& path);

// A new key from the kernel's random source in a new file of mode 0600, on the disk when this
// returns. kExists: something stands there, which is left alone.
Result<ClusterKey> create_key_file(const std::string& path);

// A new key behind the one that the file holds, which goes on sealing; the file is replaced as a
// whole. kExists: it holds two already. Otherwise as read_key_file().
Result<ClusterKey> add_key_to_file(const std::string& path);

}  // namespace nines::cluster
