// Operations that move elements: one rule of program.fbs broken at a time.
#include "test/runtime/program/program_cases.h"

namespace cleave::rt {
namespace {

const Case accepted[] = {
    {"Concat",
     [](Values &v) {
       uint32_t y = v.b.input("y", {v.context, 8});
       v.op(FB(Concat, 0), {v.x, y, v.x}, {v.b.symbol("context+2*tokens"), 8});
     },
     ""},
    {"Expand", [](Values &v) { v.op(FB(Expand), {v.vector}, {v.t, 2, 8}); }, ""},
    {"Range", [](Values &v) { v.op(FB(Range, -3, 1, 2), {}, {v.t}, i32); }, ""},
    {"Take", [](Values &v) { v.op(FB(Take, 1), {v.x, v.fewer}, {v.t, 3}); }, ""},
    {"TakeOfAWeight", [](Values &v) { v.op(FB(Take, 0), {v.weight, v.ids}, {v.t, 8}); }, ""},
    {"TakeOfAMatrixOfProducts",
     [](Values &v) {
       v.op(FB(Take, 0), {v.b.matrix("tied", f16, {4, 8}, std::vector<std::byte>(64)), v.ids},
            {v.t, 8}, f16);
     },
     ""},
    {"TakeOfAShare", [](Values &v) { v.op(FB(Take, 0, 6, 10), {v.weight, v.ids}, {v.t, 8}); }, ""},
    {"TakeOfAShareOfMany",
     [](Values &v) { v.op(FB(Take, 1, 0, INT64_MAX), {v.x, v.fewer}, {v.t, 3}); }, ""},
    {"GatherElements",
     [](Values &v) {
       v.op(FB(GatherElements, 1), {v.x, v.b.input("i", {v.t, 20}, i32)}, {v.t, 20});
     },
     ""},
    {"GatherNd",
     [](Values &v) { v.op(FB(GatherNd, 0), {v.x, v.b.input("i", {5, 1}, i32)}, {5, 8}); }, ""},
    {"ScatterElements",
     [](Values &v) {
       v.op(FB(ScatterElements, fb::ScatterKind::Add, 0), {v.x, v.x, v.b.input("i", {v.t, 8}, i32)},
            {v.t, 8});
     },
     ""},
    {"ScatterNd",
     [](Values &v) {
       v.op(FB(ScatterNd, fb::ScatterKind::Min), {v.vector, v.x, v.b.input("i", {1}, i32)},
            {v.t, 8});
     },
     ""},
};
INSTANTIATE_TEST_SUITE_P(Shape, Accepts, testing::ValuesIn(accepted), caseName);

const Case refused[] = {
    {"ConcatNothing", [](Values &v) { v.op(FB(Concat, 0), {}, {v.t}); }, "has 0 operands"},
    {"ConcatBeyond", [](Values &v) { v.op(FB(Concat, 2), {v.x}, {v.t, 8}); },
     "dimension 2 is not one of"},
    {"ConcatMore", [](Values &v) { v.op(FB(Concat, 1), {v.x, v.x}, {v.t, 17}); },
     "is not what the operands are together"},
    {"ConcatUnlike", [](Values &v) { v.op(FB(Concat, 1), {v.x, v.weight}, {v.t, 16}); },
     "operand 1, Weight f32 [4, 8], is not like the result"},
    {"ConcatOtherType", [](Values &v) { v.op(FB(Concat, 0), {v.vector, v.fewer}, {11}); },
     "is not like the result"},
    {"ExpandOtherSize", [](Values &v) { v.op(FB(Expand), {v.vector}, {v.t, 16}); },
     "is not [8] repeated"},
    {"ExpandToFewer", [](Values &v) { v.op(FB(Expand), {v.x}, {8}); }, "repeated"},
    {"ExpandOtherType", [](Values &v) { v.op(FB(Expand), {v.vector}, {8}, i32); }, "repeated"},
    {"RangeMatrix", [](Values &v) { v.op(FB(Range), {}, {2, 2}); }, "is not a vector of numbers"},
    {"RangeSymbol", [](Values &v) { v.op(FB(Range, 0, 99), {}, {2}); }, "names symbol 99"},
    {"RangeShare", [](Values &v) { v.op(FB(Range, 0, 2), {}, {2}); }, "names symbol 2"},
    {"RangeOperand", [](Values &v) { v.op(FB(Range), {v.x}, {2}); }, "has 1 operands"},
    {"TakeBeyond", [](Values &v) { v.op(FB(Take, 2), {v.x, v.ids}, {v.t, 8}); },
     "dimension 2 is not one of"},
    {"TakeByFloats", [](Values &v) { v.op(FB(Take, 0), {v.x, v.vector}, {8, 8}); },
     "is not a tensor of i32 or i64"},
    {"TakeOfAState", [](Values &v) { v.op(FB(Take, 0), {v.keys, v.fewer}, {3, v.context, 8}); },
     "is not a tensor of a plain type"},
    {"TakeResult", [](Values &v) { v.op(FB(Take, 0), {v.x, v.fewer}, {v.t, 3}); },
     "is not f32 [3, 8]"},
    {"TakeOfColumnsOfProducts",
     [](Values &v) {
       v.op(FB(Take, 1), {v.b.matrix("tied", f16, {4, 8}, std::vector<std::byte>(64)), v.ids},
            {4, v.t}, f16);
     },
     "operand 0, Weight f16 [4, 8], is not in rows"},
    {"TakeOffsetAlone", [](Values &v) { v.op(FB(Take, 0, 2), {v.weight, v.ids}, {v.t, 8}); },
     "dimension 0 of [4, 8] is no share from 2 of 0"},
    {"TakeShareBeyond", [](Values &v) { v.op(FB(Take, 0, 7, 10), {v.weight, v.ids}, {v.t, 8}); },
     "is no share from 7 of 10"},
    {"TakeShareBefore", [](Values &v) { v.op(FB(Take, 0, -1, 10), {v.weight, v.ids}, {v.t, 8}); },
     "is no share from -1 of 10"},
    {"TakeShareOverflows",
     [](Values &v) { v.op(FB(Take, 0, INT64_MAX, INT64_MAX), {v.weight, v.ids}, {v.t, 8}); },
     "is no share"},
    {"TakeShareOfLess", [](Values &v) { v.op(FB(Take, 0, 0, 3), {v.weight, v.ids}, {v.t, 8}); },
     "is no share from 0 of 3"},
    {"TakeShareOfNegative",
     [](Values &v) { v.op(FB(Take, 0, 0, INT64_MIN), {v.weight, v.ids}, {v.t, 8}); },
     "is no share"},
    {"TakeShareOfRunTimeSize", [](Values &v) { v.op(FB(Take, 0, 0, 10), {v.x, v.fewer}, {3, 8}); },
     "is no share from 0 of 10"},
    {"GatherElementsOutside",
     [](Values &v) { v.op(FB(GatherElements, 0), {v.x, v.b.input("i", {3, 9}, i32)}, {3, 9}); },
     "is not within ['tokens', 8] outside of dimension 0"},
    {"GatherElementsOfAnotherSymbol",
     [](Values &v) {
       v.op(FB(GatherElements, 1), {v.x, v.b.input("i", {v.context, 2}, i32)}, {v.context, 2});
     },
     "is not within"},
    {"GatherElementsBeyond",
     [](Values &v) { v.op(FB(GatherElements, 1), {v.vector, v.fewer}, {3}); },
     "dimension 1 is not one of"},
    {"GatherNdTuples",
     [](Values &v) { v.op(FB(GatherNd, 0), {v.x, v.b.input("i", {5, 3}, i32)}, {5}); },
     "is not of tuples that choose of"},
    {"GatherNdRunTimeTuples", [](Values &v) { v.op(FB(GatherNd, 0), {v.x, v.ids}, {8}); },
     "is not of tuples"},
    {"GatherNdBatch",
     [](Values &v) { v.op(FB(GatherNd, 1), {v.x, v.b.input("i", {5, 1}, i32)}, {5}); },
     "do not have 1 dimensions in common"},
    {"ScatterKind",
     [](Values &v) {
       v.op(FB(ScatterNd, static_cast<fb::ScatterKind>(9)),
            {v.vector, v.x, v.b.input("i", {1}, i32)}, {v.t, 8});
     },
     "its kind is unknown"},
    {"ScatterUpdates",
     [](Values &v) {
       v.op(FB(ScatterElements, fb::ScatterKind::Set, 0),
            {v.vector, v.x, v.b.input("i", {v.t, 8}, i32)}, {v.t, 8});
     },
     "is not an update for each of operand 2"},
    {"ScatterNdUpdates",
     [](Values &v) { v.op(FB(ScatterNd), {v.x, v.x, v.b.input("i", {1}, i32)}, {v.t, 8}); },
     "is not [8]"},
    {"ScatterResult",
     [](Values &v) {
       v.op(FB(ScatterNd), {v.vector, v.x, v.b.input("i", {1}, i32)}, {v.context, 8});
     },
     "is not f32 ['tokens', 8]"},
};
INSTANTIATE_TEST_SUITE_P(Shape, Refuses, testing::ValuesIn(refused), caseName);

} // namespace
} // namespace cleave::rt
