// What Program proves: each operation as it should be, each rule of a program's own tables broken
// once, and programs that are damaged at random. Rules of operations: instruction_test.cpp.
#include "test/runtime/program/program_cases.h"

namespace cleave::rt {

TEST_P(Accepts, IsProved) {
  EXPECT_EQ(proving(GetParam().build), "(nothing was thrown)");
}

TEST_P(Refuses, WithAMessage) {
  std::string message = proving(GetParam().build);
  EXPECT_THAT(message, testing::HasSubstr(GetParam().message));
  EXPECT_THAT(message, testing::StartsWith("test.program: "));
}

namespace {

using testing::HasSubstr;

const Case accepted[] = {
    {"Conv",
     [](Values &v) {
       // Two groups; (5 + 1 - 3) / 2 + 1 and 6 + 3 - 2 * 1 - 1 + 1.
       addConv(v, {6, 2, 3, 2}, {v.t, 6, 2, 7}, {2, 1}, {0, 1, 1, 2}, {1, 2});
     },
     ""},
    {"ConvOfNoChannels",
     [](Values &v) {
       uint32_t x = v.b.input("images", {v.t, 0, 5}), filter = v.b.input("filter", {6, 0, 5});
       v.op(conv(v, {1}, {0, 0}, {1}), {x, filter}, {v.t, 6, 1});
     },
     ""},
    {"Gather", [](Values &v) { v.op(FB(Gather, 100, true), {v.weight, v.ids}, {v.t, 8}); }, ""},
    {"Linear", [](Values &v) { v.op(FB(Linear), {v.x, v.weight}, {v.t, 4}); }, ""},
    {"LinearOfTwoWeights",
     [](Values &v) {
       v.b.add(FB(Linear), {v.x, v.weight, v.weight},
               {v.b.activation({v.t, 4}), v.b.activation({v.t, 4})});
     },
     ""},
    {"RmsNorm", [](Values &v) { v.op(FB(RmsNorm, 1e-5f), {v.x, v.norm}, {v.t, 8}); }, ""},
    {"RmsNormOfAVector", [](Values &v) { v.op(FB(RmsNorm), {v.vector, v.norm}, {8}); }, ""},
    {"RmsNormOfHeads",
     [](Values &v) {
       uint32_t head = v.b.weight("head", {4}, std::vector<float>(4));
       v.op(FB(RmsNorm), {v.x, head}, {v.t, 8});
     },
     ""},
    {"Rope", [](Values &v) { v.op(FB(Rope, 4, 2, 1e4f, 1), {v.x, v.ids}, {v.t, 8}); }, ""},
    {"StateUpdate", [](Values &v) { v.b.add(FB(StateUpdate), {v.keys, v.x, v.ids, v.others}, {}); },
     ""},
    {"Attention",
     [](Values &v) {
       // Query heads 2 and 3 of a group of 2 read key head 1.
       v.op(FB(Attention, 4, 2, 2, 0.5f), {v.x, v.keys, v.values, v.ids, v.others}, {v.t, 8});
     },
     ""},
    {"Unary", [](Values &v) { v.op(FB(Unary), {v.x}, {v.t, 8}); }, ""},
    {"BinaryWithAVector", [](Values &v) { v.op(FB(Binary), {v.x, v.norm}, {v.t, 8}); }, ""},
    {"BinaryOfBoth",
     [](Values &v) { v.op(FB(Binary), {v.b.input("rows", {v.t, 1}), v.vector}, {v.t, 8}); }, ""},
    {"Where",
     [](Values &v) {
       uint32_t condition = v.b.input("condition", {v.t, 1}, ElementType::i1);
       v.op(FB(Where), {condition, v.x, v.b.input("zero", {})}, {v.t, 8});
     },
     ""},
    {"Cast", [](Values &v) { v.op(FB(Cast), {v.x}, {v.t, 8}, ElementType::u16); }, ""},
    {"Slice", [](Values &v) { v.op(FB(Slice, 1, 3), {v.x}, {v.t, 5}); }, ""},
    {"Scale", [](Values &v) { v.op(FB(Unary, uint8_t(UnaryKind::scale), 2), {v.x}, {v.t, 8}); },
     ""},
    {"Transpose", [](Values &v) { v.op(transpose(v, {1, 0}), {v.x}, {8, v.t}); }, ""},
    {"Reshape", [](Values &v) { v.op(FB(Reshape), {v.x}, {1, v.t, 2, 4}); }, ""},
    {"ReshapeMergesSymbols",
     [](Values &v) {
       v.op(FB(Reshape), {v.b.input("y", {v.t, v.context, 8})},
            {v.b.symbol("context*tokens"), 2, 4});
     },
     ""},
    {"ReshapeInAnotherOrder", [](Values &v) { v.op(FB(Reshape), {v.x}, {2, v.t, 4}); }, ""},
    {"SliceFromASymbol",
     [](Values &v) {
       int64_t rest = v.b.symbol("-context+tokens");
       v.op(FB(Slice, 0, v.context, -1), {v.x}, {rest, 8});
     },
     ""},
    {"SliceOfARunTimeSize", [](Values &v) { v.op(FB(Slice, 0, 3, 2), {v.x}, {5, 8}); }, ""},
    {"SliceOfAShare", [](Values &v) { v.op(FB(Slice), {v.x}, {v.last, 8}); }, ""},
    {"Route", [](Values &v) { v.op(FB(Route), {v.x}, {v.t, 8}, i32); }, ""},
    {"RouteWeights",
     [](Values &v) {
       Mixture m(v);
       v.op(FB(RouteWeights, true, 1), {v.x, m.chosen}, {v.t, 2});
     },
     ""},
    {"Moe",
     [](Values &v) {
       Mixture m(v);
       v.op(FB(Moe, 7, 2), {v.x, m.chosen, m.shares, m.small, m.small, m.experts}, {v.t, 8});
     },
     ""},
    {"AllReduce", [](Values &v) { v.op(allReduce(v, {2, 1}), {v.x}, {v.t, 8}); }, ""},
    {"AllReduceOfTwo",
     [](Values &v) {
       v.b.add(allReduce(v, {2, 1}), {v.x, v.vector},
               {v.b.activation({v.t, 8}), v.b.activation({8})});
     },
     ""},
    {"AllReduceAdd", [](Values &v) { v.op(allReduceAdd(v), {v.x, v.x}, {v.t, 8}); }, ""},
    {"AllReduceAddAndNorm",
     [](Values &v) {
       v.b.add(allReduceAdd(v), {v.x, v.x, v.norm},
               {v.b.activation({v.t, 8}), v.b.activation({v.t, 8})});
     },
     ""},
    {"AddNorm",
     [](Values &v) {
       v.b.add(FB(AddNorm, 1e-5f), {v.x, v.x, v.norm},
               {v.b.activation({v.t, 8}), v.b.activation({v.t, 8})});
     },
     ""},
    {"TopK", [](Values &v) { v.op(FB(TopK, (1 << 24) - 8), {v.x}, {v.t, 1024, 2}); }, ""},
    {"AllReduceOfCandidates", [](Values &v) { mergeTop(v, 1024, 2); }, ""},
    {"AllGatherWithOverlapAndEmptyShare",
     [](Values &v) { v.op(allGather(v, {2, 1, 0}, 1, {4, 12, 0, 8, 12, 12}), {v.x}, {v.t, 12}); },
     ""},
    {"ReduceScatter",
     [](Values &v) { v.op(reduceScatter(v, {0, 1}, 1, {0, 3, 3, 8}), {v.x}, {v.t, 5}); }, ""},
    {"GatherAndScatterOfShares",
     [](Values &v) {
       v.op(FB(Slice), {v.x}, {v.second, 8});
       uint32_t share = v.narrow + 1;
       v.op(allGather(v, {2, 1}, 0, {}), {share}, {v.t, 8});
       v.op(reduceScatter(v, {0, 1}, 0, {}), {v.x}, {v.second, 8});
       v.op(allGather(v, {1}, 0, {}), {v.x}, {v.t, 8});
     },
     ""},
    {"AllToAll",
     [](Values &v) {
       uint32_t x = v.b.input("cube", {4, v.t, 8});
       v.op(allToAll(v, {2, 1}, 2, {0, 5, 5, 7}, 0, {0, 3, 2, 6}), {x}, {6, v.t, 2});
     },
     ""},
    {"AllToAllOfOneDimension",
     [](Values &v) {
       v.op(allToAll(v, {2, 1}, 1, {0, 5, 3, 13}, 1, {0, 5, 5, 13}), {v.x}, {v.t, 10});
     },
     ""},
    {"Scalars",
     [](Values &v) {
       // Vectors of no elements need not be aligned; all numbers of bytes before them.
       for (int i = 0; i < 4; ++i)
         v.b.input(std::string(static_cast<size_t>(i + 1), 'a'), {});
     },
     ""},
    {"SendAndRecv",
     [](Values &v) {
       v.b.add(FB(Send, 2, 7), {v.x}, {});
       v.op(FB(Recv, 0, 7), {}, {v.t, 8});
     },
     ""},
    {"OutputsOfActivationAndInput",
     [](Values &v) {
       v.op(FB(Unary), {v.x}, {v.t, 8});
       v.b.output("y", v.narrow + 1, 2);
       v.b.output("same", v.x);
     },
     ""},
};
INSTANTIATE_TEST_SUITE_P(Program, Accepts, testing::ValuesIn(accepted), caseName);

const Case refusedProgram[] = {
    {"Version", [](Values &v) { v.b.version = 9; }, "is of version 9; this program reads version"},
    {"PackageId", [](Values &v) { v.b.packageId = "other"; },
     "is from another package: its id is 'other', not 'test-package'"},
    {"Stage", [](Values &v) { v.b.stage = 1; }, "is of stage 1 of 1"},
    {"SameSymbol", [](Values &v) { v.b.symbol("tokens"); }, "has two of symbol 'tokens'"},
    {"ShareNumber", [](Values &v) { v.b.share("s", v.t, 2, 2); }, "symbol 's' is share 2 of 2"},
    {"ShareOfNone", [](Values &v) { v.b.share("s", v.t, 0, 0); }, "symbol 's' is share 0 of 0"},
    {"ShareOfAShare", [](Values &v) { v.b.share("s", v.second, 0, 2); },
     "symbol 's' is a share of symbol 2, which is no size of its own before it"},
    {"ShareOfItself", [](Values &v) { v.b.share("s", -5, 0, 2); }, "is a share of symbol 4"},
    {"ShareOfALaterSymbol", [](Values &v) { v.b.share("s", -9, 0, 2); }, "is a share of symbol 8"},
    {"SizeOfALaterSymbol",
     [](Values &v) {
       v.b.symbol("later+tokens");
       v.b.symbol("later");
     },
     "symbol 'later+tokens' follows from 'later', which is no size before it"},
    {"SizeOfADerivedOne",
     [](Values &v) {
       v.b.symbol("2*tokens");
       v.b.share("shared", v.t, 0, 2);
       v.b.symbol("shared+tokens");
     },
     "symbol 'shared+tokens' follows from 'shared', which is no size before it"},
    {"SizeInAnotherForm", [](Values &v) { v.b.symbol("tokens+context"); },
     "symbol 'tokens+context' is not in canonical form"},
    {"ConstantSize", [](Values &v) { v.b.symbol("7"); }, "symbol '7' is not in canonical form"},
    {"ManySizes",
     [](Values &v) {
       for (int i = 0; i < 4096; ++i)
         v.b.symbol("s" + std::to_string(i));
     },
     "has 4100 symbols, more than 4096"},
    {"NoSize", [](Values &v) { v.b.symbol("a b"); }, "symbol 'a b' is no expression of sizes"},
    {"StateOfAShare", [](Values &v) { v.b.state("bad", {2, v.second, 8}); },
     "state 'bad' has the share 'tokens[1 of 2]' as a dimension"},
    {"InputOfAShare", [](Values &v) { v.b.input("bad", {v.second}); },
     "input 'bad' of entry 'step' has the share 'tokens[1 of 2]' as a dimension"},
    {"SameState", [](Values &v) { v.b.state("keys", {1, 1, 1}); }, "has two of state 'keys'"},
    {"SameInput", [](Values &v) { v.b.input("x", {1}); }, "has two of input 'x'"},
    {"LongName", [](Values &v) { v.b.symbol(std::string(2000, 'x')); }, "has 2000 bytes"},
    {"WeightElementType",
     [](Values &v) { v.b.rawWeight("bad", static_cast<ElementType>(99), {1}, 4096, 4); },
     "weight 3 'bad' has element type 99, which is unknown"},
    {"WeightLayout", [](Values &v) { v.b.rawWeight("bad", f32, {1}, 4096, 4, 9); },
     "weight 3 'bad' has layout 9"},
    {"WeightSize", [](Values &v) { v.b.rawWeight("bad", f32, {3, 3}, 4096, 35); },
     "weight 3 'bad' has 35 bytes, but its type, dimensions and layout make 36"},
    {"WeightOfLayoutOfMatrices", [](Values &v) { v.b.rawWeight("bad", f32, {9}, 4096, 36, 1); },
     "weight 3 'bad' is in a layout of matrices, and it is none"},
    {"WeightSizeInterleaved",
     [](Values &v) { v.b.rawWeight("bad", ElementType::f16, {3, 2}, 4096, 12, 1); },
     "weight 3 'bad' has 12 bytes, but its type, dimensions and layout make 64"},
    {"WeightOffsetInHeader", [](Values &v) { v.b.rawWeight("bad", f32, {1}, 64, 4); },
     "is at offset 64"},
    {"WeightOffsetUnaligned", [](Values &v) { v.b.rawWeight("bad", f32, {1}, 4100, 4); },
     "is at offset 4100, which is not a multiple of 64"},
    {"WeightBehindTheFile", [](Values &v) { v.b.rawWeight("bad", f32, {64}, 4160, 256); },
     "is not within the weight file's 4304 bytes"},
    {"WeightOffsetOverflows", [](Values &v) { v.b.rawWeight("bad", f32, {1}, ~uint64_t{63}, 4); },
     "is not within"},
    {"WeightDynamic", [](Values &v) { v.b.rawWeight("bad", f32, {-1}, 4096, 4); },
     "has a dimension that is not constant"},
    {"WeightOverflows",
     [](Values &v) { v.b.rawWeight("bad", f32, {int64_t{1} << 40, int64_t{1} << 40}, 4096, 0); },
     "is larger than any tensor can be"},
    {"WeightOverflowsBehindAZero",
     [](Values &v) { v.b.rawWeight("bad", f32, {0, int64_t{1} << 40, int64_t{1} << 40}, 4096, 0); },
     "is larger than any tensor can be"},
    {"WeightOfBrokenBlocks", [](Values &v) { v.b.rawWeight("bad", q8_0, {4, 33}, 4096, 34); },
     "has a last dimension of 33, which is no whole number of blocks of 32"},
    {"WeightScalarOfBlocks", [](Values &v) { v.b.rawWeight("bad", q8_0, {}, 4096, 34); },
     "is of the block type q8_0"},
    {"StateElementType", [](Values &v) { v.b.state("bad", {1, 1, 1}, i32); },
     "state 'bad' is of i32; a state is of f32 or f16"},
    {"StateDimensions", [](Values &v) { v.b.state("bad", {1, 1}); },
     "state 'bad' does not have the dimensions [slots, context, width]"},
    {"StateWidth", [](Values &v) { v.b.state("bad", {1, 1, v.t}); }, "width constant"},
    {"ValueSymbol", [](Values &v) { v.b.input("bad", {-9}); },
     "value 11 of entry 'step' has symbol 8 of 4 as a dimension"},
    {"ValueSymbolAtTheLimit",
     [](Values &v) { v.b.input("bad", {std::numeric_limits<int64_t>::min()}); },
     "has symbol 9223372036854775807 of 4"},
    {"ValueOverflows", [](Values &v) { v.b.input("bad", {int64_t{1} << 62, 16}); },
     "larger than any tensor"},
    {"ValueOfManyDimensions", [](Values &v) { v.b.input("bad", Dims(9, 1)); },
     "has 9 dimensions, more than 8"},
    {"ValueElementType", [](Values &v) { v.b.input("bad", {32}, q8_0); },
     "is of q8_0; inputs and activations are of plain types"},
    {"ValueStorage", [](Values &v) { v.b.value(static_cast<fb::Storage>(77), 0, f32, {1}); },
     "value 11 of entry 'step' has an unknown storage"},
    {"ValueOfNoWeight", [](Values &v) { v.b.value(fb::Storage::Weight, 3, f32, {1}); },
     "is weight 3 of 3"},
    {"ValueUnlikeItsWeight", [](Values &v) { v.b.value(fb::Storage::Weight, 0, f32, {8, 4}); },
     "differs in type or dimensions from its weight 'w'"},
    {"ValueOfNoState", [](Values &v) { v.b.value(fb::Storage::State, 3, f32, {1, 1, 1}); },
     "is state 3 of 3"},
    {"InputWithoutAPort", [](Values &v) { v.b.value(fb::Storage::Input, 0, f32, {1}); },
     "value 11 of entry 'step' is never written"},
    {"ActivationNeverWritten", [](Values &v) { v.b.activation({1}); }, "is never written"},
    {"OutputOfNoValue", [](Values &v) { v.b.output("y", 11); },
     "output 'y' of entry 'step' is value 11 of 11"},
    {"OutputOfAWeight", [](Values &v) { v.b.output("y", v.weight); }, "is a weight or a state"},
    {"OutputOwner", [](Values &v) { v.b.output("y", v.x, 3); }, "is owned by rank 3 of 3"},
    {"OperandOfNoValue", [](Values &v) { v.op(FB(Unary), {99}, {v.t, 8}); },
     "instruction 0 (Unary 'name') of entry 'step': names value 99 of 12"},
    {"OperandBeforeItIsWritten",
     [](Values &v) {
       uint32_t late = v.b.activation({v.t, 8});
       v.op(FB(Unary), {late}, {v.t, 8});
       v.b.add(FB(Unary), {v.x}, {late});
     },
     "instruction 0 (Unary 'name') of entry 'step': reads value 11 before it is written"},
    {"OperandIsItsOwnResult",
     [](Values &v) {
       uint32_t y = v.b.activation({v.t, 8});
       v.b.add(FB(Unary), {y}, {y});
     },
     "reads value 11 before it is written"},
    {"ResultTwice",
     [](Values &v) {
       uint32_t y = v.b.activation({v.t, 8});
       v.b.add(FB(Unary), {v.x}, {y});
       v.b.add(FB(Unary), {v.x}, {y});
     },
     "instruction 1 (Unary) of entry 'step': writes value 11 a second time"},
    {"ResultIsAnInput", [](Values &v) { v.b.add(FB(Unary), {v.x}, {v.x}); },
     "writes value 0, which is not an activation"},
};
INSTANTIATE_TEST_SUITE_P(Program, Refuses, testing::ValuesIn(refusedProgram), caseName);

TEST(Program, RefusesWhatIsNotAProgram) {
  ProgramIdentity identity{"test-package", 0, 1, 1, 4096};
  for (size_t size : {0, 1, 7, 8, 100}) {
    FileBytes bytes(size);
    std::memset(bytes.data(), 'x', size);
    EXPECT_EQ(messageOf([&] { Program(std::move(bytes), "p", identity); }), "p: is not a program");
  }
}

TEST(Program, RefusesAnotherRank) {
  ProgramBuilder b(1, 2);
  ProgramIdentity identity{"test-package", 0, 2, 1, 4096};
  EXPECT_EQ(messageOf([&] { Program(b.finish(), "p", identity); }),
            "p: is for rank 1 of 2, not for rank 0 of 2");
}

TEST(Program, FindsEntries) {
  ProgramBuilder b;
  Program program = b.prove();
  EXPECT_EQ(program.entry("").name()->str(), "step");
  EXPECT_EQ(program.entry("step").name()->str(), "step");
  EXPECT_EQ(messageOf([&] { program.entry("other"); }), "test.program: has no entry 'other'");
}

TEST(Program, OpensFromAPackageAndChecksItsFile) {
  std::filesystem::path folder = testFolder();
  ProgramBuilder b;
  Manifest manifest;
  manifest.packageId = "test-package";
  manifest.files.resize(1);
  manifest.files[0].weightsSize = b.weightFileBytes();
  FileBytes bytes = b.finish();
  manifest.files[0].program = {bytes.size(), checksumOf(bytes.span())};
  writeFile(folder / "rank-0.program", bytes.span());
  EXPECT_EQ(Program::open(folder, manifest, 0).entry("").name()->str(), "step");
  bytes.data()[bytes.size() - 1] ^= std::byte{1};
  writeFile(folder / "rank-0.program", bytes.span());
  EXPECT_THAT(messageOf([&] { Program::open(folder, manifest, 0); }),
              HasSubstr("rank-0.program: differs from the checksum in the manifest"));
  writeFile(folder / "rank-0.program", bytes.span().first(bytes.size() - 1));
  EXPECT_THAT(messageOf([&] { Program::open(folder, manifest, 0); }),
              HasSubstr("it is truncated or from another package"));
  std::filesystem::remove(folder / "rank-0.program");
  EXPECT_THAT(messageOf([&] { Program::open(folder, manifest, 0); }),
              HasSubstr("rank-0.program: cannot be opened: No such file or directory"));
}

} // namespace
} // namespace cleave::rt
