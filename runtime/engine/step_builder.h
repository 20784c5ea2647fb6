// Turns an entry's instructions into steps: gives each value its place, finds what
// may be computed in place, and what several instructions can share. Private to
// the engine. The steps of each kind of instruction are made in steps_*.cpp.
#pragma once

#include "runtime/comm/communicator.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/epilogues.h"
#include "runtime/engine/memory_plan.h"
#include "runtime/engine/profile.h"
#include "runtime/engine/selection.h"
#include "runtime/engine/step.h"
#include "runtime/kernels/convolution.h"
#include "runtime/kernels/linear_dense.h"
#include "runtime/kernels/matmul.h"
#include "runtime/program/program.h"
#include "runtime/program/weight_file.h"

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

namespace cleave::rt {

/// The states of a program in memory, at the bounds of their symbols.
struct StatePlace {
  std::byte *rows = nullptr;   ///< [slots, context, width], unless it is read as keys only
  std::byte *panels = nullptr; ///< the same as of key_panels.h, if it is read as keys
  ElementType type = ElementType::f32;
  int64_t slots = 0;
  int64_t context = 0;
  int64_t width = 0;
};

/// What a product or convolution does with its outputs, one number for each, from weights.
/// Empty: nothing.
struct OutputNumbers {
  std::vector<float> factor, offset;

  const float *factors() const { return factor.empty() ? nullptr : factor.data(); }
  const float *offsets() const { return offset.empty() ? nullptr : offset.data(); }
};

/// What steps are built from.
struct BuildInput {
  const Program &program;
  const fb::Entry &entry;
  const WeightFile &weights;
  Communicator &communicator;
  const EngineOptions &options;
  const std::vector<int64_t> &bounds;    ///< of the symbols
  const std::vector<StatePlace> &states; ///< one for each of the program's
  double &communicationSeconds;          ///< steps add to it
};

class StepBuilder {
public:
  /// Makes the entry's groups and selects its instructions, together with all other ranks.
  /// `input`'s bounds and states are read by build() only.
  explicit StepBuilder(const BuildInput &input);

  /// Makes all steps. Afterwards `steps` and `requests` are complete.
  void build();

  /// In the order in which they run: first what checks inputs, then the rest.
  std::vector<std::unique_ptr<Step>> takeSteps();
  const std::vector<BufferRequest> &requests() const { return buffers; }
  /// Where a caller finds an input or output.
  Location location(uint32_t value) const;

  /// What one of the steps is, for a profile, when memory has been planned.
  OpDescription describe(const Step &step, const Memory &memory);

private:
  // ---- What the makers of steps use (one instruction at a time) ----

  struct Matrix {
    Location place;
    Size rows;       // all dimensions but the last
    int64_t columns; // the last
  };

  const fb::Value &value(uint32_t number) const { return *input.entry.values()->Get(number); }
  uint32_t operand(uint32_t i) const { return instruction->operands()->Get(i); }
  uint32_t result(uint32_t i) const { return instruction->results()->Get(i); }
  uint32_t operandCount() const {
    return instruction->operands() ? instruction->operands()->size() : 0;
  }
  Matrix matrix(uint32_t number) const;
  Size elements(uint32_t number) const { return Size(dimsOf(value(number).dims())); }
  ElementType type(uint32_t number) const {
    return static_cast<ElementType>(value(number).element_type());
  }
  /// Of a value that is no weight, Layout::rows.
  Layout layout(uint32_t number) const;
  int64_t elementBytes(uint32_t number) const;
  int64_t bytesAtMost(uint32_t number) const;
  int64_t rowsAtMost(uint32_t number) const;
  const StatePlace &state(uint32_t number) const { return input.states[value(number).index()]; }
  std::string nameOfState(uint32_t number) const;
  [[noreturn]] void refuse(const std::string &why) const;

  /// Whether the current instruction's results, and so its operands, have their channels last.
  bool isChannelsLast() const {
    return instruction->results() && instruction->results()->size() > 0 && channelsLast[result(0)];
  }
  /// The dimensions of an operand or result in the order in which the current instruction finds
  /// them in memory; in channels-last order there are as many as the result has.
  std::vector<int64_t> placedDims(uint32_t number) const;
  /// Where in that order dimension `dim` of the result is.
  uint32_t placedDim(uint32_t dim) const;

  /// A weight's numbers, or null for what is none, or not of f32.
  const float *floatsOf(uint32_t number) const;
  /// The weight has been packed elsewhere.
  void releaseWeight(uint32_t number) const;
  /// What is computed with result i of the current instruction; null: nothing.
  const FusedEpilogue *epilogueOf(uint32_t i) const;
  /// All of it that is numbers, behind a bias if there is one.
  OutputNumbers outputNumbers(const FusedEpilogue &epilogue, int64_t outputs,
                              std::optional<uint32_t> bias) const;
  /// The rest.
  static Epilogue kernelEpilogue(const FusedEpilogue *epilogue);

  /// A buffer for this instruction alone.
  Location scratch(int64_t bytes) { return newBuffer(bytes, position, position); }
  Location newBuffer(int64_t bytes, int64_t begin, int64_t end);
  void add(std::unique_ptr<Step> step) {
    step->instruction = position;
    steps.push_back(std::move(step));
  }

  /// The kernels for the weight `number`, as the options want them.
  LinearChoice chooseLinear(uint32_t number) const;
  /// The sines and cosines of the current Rope, shared by all that agree.
  Location ropeAngles(const fb::Rope &op);
  /// The oneDNN product for a weight of this shape, or null where it is no use.
  std::shared_ptr<DenseLinear> denseLinear(int64_t inputs, int64_t outputs, int64_t maxTokens);
  std::shared_ptr<MatMuls> sharedMatMuls();
  /// Checks, once for each value and limit, that an i32 value's elements are in
  /// [least, least + limit). `what` says what they index.
  void checkIndices(uint32_t number, int64_t least, Size limit, const std::string &what);
  /// Checks, once for each value and limits, that number i of a value of i32 or i64 is in
  /// [-n, n), n being limits[i mod their number].
  void checkSignedIndices(uint32_t number, const std::vector<Size> &limits,
                          const std::string &what);
  /// Checks that no two tokens have one place.
  void checkPlaces(uint32_t slots, uint32_t positions);
  bool isGiven(uint32_t number) const { return value(number).storage() == fb::Storage::Input; }
  void addCheck(uint32_t first, uint32_t second, std::unique_ptr<Step> step);
  std::string describeValue(uint32_t number) const;
  GroupId group(const flatbuffers::Vector<uint32_t> *ranks) const;

  // ---- What the current instruction moves and computes ----

  std::function<Work(const int64_t *symbols)> work(const Memory &memory) const;
  std::function<Work(const int64_t *symbols)> attentionWork(const Memory &memory) const;
  std::function<Work(const int64_t *symbols)> moeWork(const Memory &memory) const;

  // ---- Places of values ----

  /// Whether something can be computed with that result of a product or convolution.
  bool canFuse(const fb::Instruction &instruction, uint32_t number) const;
  bool canFuseConv(const fb::Instruction &conv) const;
  /// Whether operand i is a matrix that should be packed for oneDNN.
  bool canPackLinear(const fb::Instruction &linear, uint32_t i) const;
  void findLifetimes();
  void placeFixedAndInputs();
  /// Gives the current instruction its operands in the order that it wants. Returns the places
  /// that they have for others.
  std::vector<std::pair<uint32_t, Location>> alignOperands();
  Location inOtherOrder(uint32_t number);
  /// Whether the current instruction adds to a residual, in its place.
  bool takesPlaceOfResidual() const;
  void copyOutputs();
  void placeResults();
  bool canReplace(uint32_t operandNumber, uint32_t resultNumber) const;
  /// The operand that the current instruction may overwrite with its first result.
  std::optional<uint32_t> operandToReplace() const;

  // ---- The instructions ----

  void makeGroups();
  void reserveSends() const;
  void addInstruction();
  void addGather(const fb::Gather &op);
  void addLinear(const fb::Linear &op);
  void addConv(const fb::Conv &op);
  template <typename Op> void addConvolution(const Op &op, bool isTransposed);
  void addEpilogue(const FusedEpilogue &epilogue);
  void addRmsNorm(const fb::RmsNorm &op);
  void addRope(const fb::Rope &op);
  void addStateUpdate();
  void addAttention(const fb::Attention &op);
  void addUnary(const fb::Unary &op);
  void addBinary(const fb::Binary &op);
  void addWhere();
  void addCast();
  void addSlice(const fb::Slice &op);
  void addTranspose(const fb::Transpose &op);
  void addReshape();
  void addConcat(const fb::Concat &op);
  void addExpand();
  void addRange(const fb::Range &op);
  void addTake(const fb::Take &op);
  void addGatherElements(const fb::GatherElements &op);
  void addGatherNd(const fb::GatherNd &op);
  template <typename StepT> void finishGather(std::unique_ptr<StepT> step);
  void addScatterElements(const fb::ScatterElements &op);
  void addScatterNd(const fb::ScatterNd &op);
  template <typename StepT> void finishScatter(std::unique_ptr<StepT> step, fb::ScatterKind kind);
  void addTopK(const fb::TopK &op);
  void addRoute();
  void addRouteWeights(const fb::RouteWeights &op);
  void addMoe(const fb::Moe &op);
  void addMatMul(const fb::MatMul &op);
  void addIntegerMatMul();
  /// A step that goes along dimension `dim` of operand 0.
  template <typename StepT> std::unique_ptr<StepT> makeAlong(uint32_t dim);
  void addSoftmax(const fb::Softmax &op);
  void addLayerNorm(const fb::LayerNorm &op);
  void addReduce(const fb::Reduce &op);
  template <typename StepT> std::unique_ptr<StepT> makeReduce(const fb::Reduce &op);
  void addArgReduce(const fb::ArgReduce &op);
  void addTopElements(const fb::TopElements &op);
  void addCumulativeSum(const fb::CumulativeSum &op);
  void addPool(const fb::Pool &op);
  void addPoolIndices(const fb::PoolIndices &op);
  void addConvTranspose(const fb::ConvTranspose &op);
  void addResize(const fb::Resize &op);
  void addDotProductAttention(const fb::DotProductAttention &op);
  void addAllReduce(const fb::AllReduce &op);
  void addAllReduceAdd(const fb::AllReduceAdd &op);
  void addAddNorm(const fb::AddNorm &op);
  void addSumAndNorm(GroupId group, float epsilon);
  void addInPlace(const flatbuffers::Vector<uint32_t> *ranks, bool reduces);
  void addMergeTop(const fb::AllReduce &op);
  void addAllGather(const fb::AllGather &op);
  void addReduceScatter(const fb::ReduceScatter &op);
  void addAllToAll(const fb::AllToAll &op);
  void addBroadcast(const fb::Broadcast &op);
  template <typename Op> void addPeer(const Op &op, bool sends, uint32_t number);
  void addSend(const fb::Send &op);
  void addRecv(const fb::Recv &op);

  using RopeKey = std::tuple<uint32_t, int64_t, uint32_t, float, float>;

  BuildInput input;
  const fb::Instruction *instruction = nullptr; // the current one
  int64_t position = 0;                         // and its number
  int64_t endOfEntry;
  std::vector<bool> selected;     // of the instructions, those that run
  std::vector<bool> channelsLast; // of the values
  FusedEpilogues epilogues;

  std::vector<std::unique_ptr<Step>> inputChecks;
  std::vector<std::unique_ptr<Step>> steps;
  std::vector<BufferRequest> buffers;
  std::vector<Location> locations; // of each value
  std::vector<int64_t> lastUse;    // of each value: an instruction's number
  std::map<std::vector<uint32_t>, GroupId> groups;

  std::map<uint32_t, Location> otherOrders; // copies of values
  std::map<RopeKey, Location> angles;
  std::map<std::tuple<int64_t, int64_t, int64_t>, std::shared_ptr<DenseLinear>> denseLinears;
  std::shared_ptr<MatMuls> matmuls;         // of all products of matrices
  std::map<uint32_t, uint32_t> givenWholes; // of shares of inputs: the inputs
  std::map<std::pair<ConvolutionShape, int64_t>, std::shared_ptr<Convolution>> convolutions;
  std::set<std::tuple<uint32_t, int64_t, Size>> checkedIndices;
  std::set<std::pair<uint32_t, std::vector<Size>>> checkedSignedIndices;
  std::set<std::pair<uint32_t, uint32_t>> checkedPlaces;
};

} // namespace cleave::rt
