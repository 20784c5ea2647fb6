// The MPI calls. Where the bytes of a type travel unchanged, any MPI type of that
// width carries them; only sums need the type itself.
#include "runtime/comm/mpi_communicator.h"

#include "runtime/program/half.h"

#include <mpi.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace cleave::rt {
namespace {

/// Messages above this many bytes take the second communicator. Measured on one
/// node with two ranks and Open MPI 4.1.4: coll/sm takes half of tuned's time up to
/// 32 KiB, they meet near 100 KiB, and from 256 KiB on it takes twice as long.
constexpr size_t largeMessageBytes = size_t{64} << 10;

/// MPI counts with int: longer messages travel in pieces of this many elements.
constexpr size_t maxPiece = size_t{1} << 30;

/// Sets coll/sm's priority above coll/tuned's, before MPI_Init reads it. False
/// where the user has settled the matter.
bool preferSharedMemory() {
  if (std::getenv("OMPI_MCA_coll") || std::getenv("OMPI_MCA_coll_sm_priority"))
    return false;
  return setenv("OMPI_MCA_coll_sm_priority", "90", 0) == 0;
}

MPI_Datatype mpiType(ElementType type) {
  switch (type) {
  case ElementType::f32:
    return MPI_FLOAT;
  case ElementType::f16:
  case ElementType::bf16:
    return MPI_UINT16_T;
  case ElementType::i32:
    return MPI_INT32_T;
  case ElementType::i64:
    return MPI_INT64_T;
  case ElementType::i8:
    return MPI_INT8_T;
  case ElementType::f64:
    return MPI_DOUBLE;
  case ElementType::i16:
    return MPI_INT16_T;
  case ElementType::u16:
    return MPI_UINT16_T;
  case ElementType::u32:
    return MPI_UINT32_T;
  case ElementType::u64:
    return MPI_UINT64_T;
  default:
    return MPI_UINT8_T;
  }
}

bool isHalf(ElementType type) {
  return type == ElementType::f16 || type == ElementType::bf16;
}

void widen(const void *data, size_t count, ElementType type, float *result) {
  auto *bits = static_cast<const uint16_t *>(data);
  for (size_t i = 0; i < count; ++i)
    result[i] = type == ElementType::f16 ? floatOfF16(bits[i]) : floatOfBf16(bits[i]);
}

void narrow(const float *data, size_t count, ElementType type, void *result) {
  auto *bits = static_cast<uint16_t *>(result);
  for (size_t i = 0; i < count; ++i)
    bits[i] = type == ElementType::f16 ? f16OfFloat(data[i]) : bf16OfFloat(data[i]);
}

size_t bytesOf(ElementType type) {
  return elementTypeInfo(type).blockBytes;
}

/// Calls `body(begin, count)` for pieces of [0, count) that MPI can count.
template <typename Body> void inPieces(size_t count, const Body &body) {
  size_t begin = 0;
  do {
    size_t piece = std::min(count - begin, maxPiece);
    body(begin, static_cast<int>(piece));
    begin += piece;
  } while (begin < count);
}

struct Group {
  std::vector<uint32_t> ranks;
  MPI_Comm small = MPI_COMM_NULL;
  MPI_Comm large = MPI_COMM_NULL; ///< may be `small`

  MPI_Comm forBytes(size_t bytes) const { return bytes > largeMessageBytes ? large : small; }
};

} // namespace

struct MpiCommunicator::Impl {
  explicit Impl(const MpiOptions &options);
  ~Impl();

  [[noreturn]] void abort(const char *message) const {
    std::fflush(stdout);
    std::fprintf(stderr, "%s: error: rank %d: %s\n", program_invocation_short_name, rank, message);
    std::fflush(stderr);
    MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE);
    std::_Exit(EXIT_FAILURE);
  }

  /// Ends the job when `code` is an error; `what` and `peer` tell where.
  void check(int code, const char *what, int peer = -1) const {
    if (code != MPI_SUCCESS)
      fail(code, what, peer);
  }

  [[noreturn]] void fail(int code, const char *what, int peer) const {
    char text[MPI_MAX_ERROR_STRING] = "unknown error";
    int length = 0;
    MPI_Error_string(code, text, &length);
    std::string message = what;
    if (peer >= 0)
      message += " rank " + std::to_string(peer);
    abort((message + " failed: " + text).c_str());
  }

  MPI_Comm secondCommunicator(MPI_Comm comm);
  size_t freeSendBuffer();

  /// f32 scratch for sums of halves; grows to the largest message seen.
  float *scratchOf(size_t count) {
    if (scratch.size() < count)
      scratch.resize(count);
    return scratch.data();
  }

  int rank = -1;
  int size = 0;
  bool sharedMemory = false;
  MPI_Comm world = MPI_COMM_NULL; ///< our own copy of MPI_COMM_WORLD, for messages
  std::vector<Group> groups;
  std::vector<std::vector<std::byte>> sendBuffers;
  std::vector<MPI_Request> sendRequests; ///< by buffer; MPI_REQUEST_NULL where free
  std::vector<float> scratch;
};

MpiCommunicator::Impl::Impl(const MpiOptions &options) {
  if (options.coreForEachRank)
    sharedMemory = preferSharedMemory();
  int provided = 0;
  if (MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS) {
    std::fprintf(stderr, "%s: error: MPI_Init failed\n", program_invocation_short_name);
    std::exit(EXIT_FAILURE);
  }
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN); // inherited by all made from it
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  check(MPI_Comm_dup(MPI_COMM_WORLD, &world), "making the communicator of all ranks");
}

MpiCommunicator::Impl::~Impl() {
  check(
      MPI_Waitall(static_cast<int>(sendRequests.size()), sendRequests.data(), MPI_STATUSES_IGNORE),
      "waiting for messages under way");
  for (Group &group : groups) {
    if (group.large != group.small)
      MPI_Comm_free(&group.large);
    MPI_Comm_free(&group.small);
  }
  MPI_Comm_free(&world);
  MPI_Finalize();
}

MPI_Comm MpiCommunicator::Impl::secondCommunicator(MPI_Comm comm) {
  if (!sharedMemory)
    return comm;
  MPI_Info info = MPI_INFO_NULL;
  check(MPI_Info_create(&info), "making a group");
  check(MPI_Info_set(info, "ompi_comm_coll_preference", "tuned,^sm"), "making a group");
  MPI_Comm second = MPI_COMM_NULL;
  check(MPI_Comm_dup_with_info(comm, info, &second), "making a group");
  MPI_Info_free(&info);
  return second;
}

size_t MpiCommunicator::Impl::freeSendBuffer() {
  for (size_t i = 0; i < sendRequests.size(); ++i) {
    int done = 0;
    check(MPI_Test(&sendRequests[i], &done, MPI_STATUS_IGNORE), "an earlier send");
    if (done)
      return i;
  }
  if (sendRequests.empty()) {
    sendRequests.push_back(MPI_REQUEST_NULL);
    sendBuffers.emplace_back();
    return 0;
  }
  int index = 0;
  check(MPI_Waitany(static_cast<int>(sendRequests.size()), sendRequests.data(), &index,
                    MPI_STATUS_IGNORE),
        "an earlier send");
  return static_cast<size_t>(index);
}

MpiCommunicator::MpiCommunicator(const MpiOptions &options)
    : impl(std::make_unique<Impl>(options)) {}
MpiCommunicator::~MpiCommunicator() = default;

int MpiCommunicator::rank() const {
  return impl->rank;
}
int MpiCommunicator::size() const {
  return impl->size;
}

GroupId MpiCommunicator::makeGroup(std::span<const uint32_t> ranks) {
  for (size_t id = 0; id < impl->groups.size(); ++id)
    if (std::ranges::equal(impl->groups[id].ranks, ranks))
      return static_cast<GroupId>(id);
  Group group;
  group.ranks.assign(ranks.begin(), ranks.end());
  std::vector<int> members(ranks.begin(), ranks.end());
  MPI_Group all = MPI_GROUP_NULL;
  MPI_Group some = MPI_GROUP_NULL;
  impl->check(MPI_Comm_group(impl->world, &all), "making a group");
  impl->check(MPI_Group_incl(all, static_cast<int>(members.size()), members.data(), &some),
              "making a group");
  impl->check(MPI_Comm_create_group(impl->world, some, 0, &group.small), "making a group");
  group.large = impl->secondCommunicator(group.small);
  MPI_Group_free(&some);
  MPI_Group_free(&all);
  impl->groups.push_back(std::move(group));
  return static_cast<GroupId>(impl->groups.size() - 1);
}

void MpiCommunicator::reserveSends(size_t maxBytes, size_t maxPending) {
  impl->sendRequests.resize(std::max(impl->sendRequests.size(), maxPending), MPI_REQUEST_NULL);
  impl->sendBuffers.resize(impl->sendRequests.size());
  for (std::vector<std::byte> &buffer : impl->sendBuffers)
    buffer.reserve(maxBytes);
}

void MpiCommunicator::send(const void *data, size_t count, ElementType type, int peer, int tag) {
  auto *bytes = static_cast<const std::byte *>(data);
  inPieces(count, [&](size_t begin, int piece) {
    size_t index = impl->freeSendBuffer();
    std::vector<std::byte> &buffer = impl->sendBuffers[index];
    buffer.assign(bytes + begin * bytesOf(type), bytes + (begin + piece) * bytesOf(type));
    impl->check(MPI_Isend(buffer.data(), piece, mpiType(type), peer, tag, impl->world,
                          &impl->sendRequests[index]),
                "send to", peer);
  });
}

void MpiCommunicator::recv(void *data, size_t count, ElementType type, int peer, int tag) {
  inPieces(count, [&](size_t begin, int piece) {
    MPI_Status status;
    impl->check(MPI_Recv(static_cast<std::byte *>(data) + begin * bytesOf(type), piece,
                         mpiType(type), peer, tag, impl->world, &status),
                "recv from", peer);
    int got = 0;
    MPI_Get_count(&status, mpiType(type), &got);
    if (got != piece)
      abort(("recv from rank " + std::to_string(peer) + " tag " + std::to_string(tag) +
             " expects " + std::to_string(piece) + " elements, the message has " +
             std::to_string(got))
                .c_str());
  });
}

void MpiCommunicator::allReduce(void *data, size_t count, ElementType type, GroupId group) {
  if (count == 0)
    return;
  float *wide = nullptr;
  if (isHalf(type)) {
    wide = impl->scratchOf(count);
    widen(data, count, type, wide);
  }
  auto *bytes = wide ? reinterpret_cast<std::byte *>(wide) : static_cast<std::byte *>(data);
  size_t elementBytes = wide ? sizeof(float) : bytesOf(type);
  MPI_Comm comm = impl->groups[group].forBytes(count * elementBytes);
  inPieces(count, [&](size_t begin, int piece) {
    impl->check(MPI_Allreduce(MPI_IN_PLACE, bytes + begin * elementBytes, piece,
                              wide ? MPI_FLOAT : mpiType(type), MPI_SUM, comm),
                "all_reduce");
  });
  if (wide)
    narrow(wide, count, type, data);
}

void MpiCommunicator::allGather(const void *send, void *recv, std::span<const int> counts,
                                std::span<const int> offsets, ElementType type, GroupId group) {
  // Whole messages decide, not the own share: members must choose alike.
  size_t total = 0;
  for (int count : counts)
    total += static_cast<size_t>(count);
  MPI_Comm comm = impl->groups[group].forBytes(total * bytesOf(type));
  int member = 0;
  MPI_Comm_rank(comm, &member);
  impl->check(MPI_Allgatherv(send, counts[member], mpiType(type), recv, counts.data(),
                             offsets.data(), mpiType(type), comm),
              "all_gather");
}

void MpiCommunicator::reduceScatter(const void *send, void *recv, std::span<const int> counts,
                                    ElementType type, GroupId group) {
  size_t total = 0;
  for (int count : counts)
    total += static_cast<size_t>(count);
  MPI_Comm comm = impl->groups[group].forBytes(total * bytesOf(type));
  if (!isHalf(type)) {
    impl->check(MPI_Reduce_scatter(send, recv, counts.data(), mpiType(type), MPI_SUM, comm),
                "reduce_scatter");
    return;
  }
  int member = 0;
  MPI_Comm_rank(comm, &member);
  float *wide = impl->scratchOf(total + counts[member]);
  widen(send, total, type, wide);
  impl->check(MPI_Reduce_scatter(wide, wide + total, counts.data(), MPI_FLOAT, MPI_SUM, comm),
              "reduce_scatter");
  narrow(wide + total, counts[member], type, recv);
}

void MpiCommunicator::allToAll(const void *send, std::span<const int> sendCounts,
                               std::span<const int> sendOffsets, void *recv,
                               std::span<const int> recvCounts, std::span<const int> recvOffsets,
                               ElementType type, GroupId group) {
  // Counts differ between members, who must choose alike; coll/sm has no all_to_all, so
  // the second communicator would be no other.
  impl->check(MPI_Alltoallv(send, sendCounts.data(), sendOffsets.data(), mpiType(type), recv,
                            recvCounts.data(), recvOffsets.data(), mpiType(type),
                            impl->groups[group].small),
              "all_to_all");
}

void MpiCommunicator::broadcast(void *data, size_t count, ElementType type, int root,
                                GroupId group) {
  if (count == 0)
    return;
  MPI_Comm comm = impl->groups[group].forBytes(count * bytesOf(type));
  inPieces(count, [&](size_t begin, int piece) {
    impl->check(MPI_Bcast(static_cast<std::byte *>(data) + begin * bytesOf(type), piece,
                          mpiType(type), root, comm),
                "broadcast");
  });
}

void MpiCommunicator::barrier() {
  impl->check(MPI_Barrier(impl->world), "barrier");
}

void MpiCommunicator::abort(const char *message) {
  impl->abort(message);
}

} // namespace cleave::rt
