// Manifests to and from JSON. The JSON library's exceptions end here: callers see
// std::runtime_error with the file and the key.
#include "runtime/program/manifest.h"

#include "runtime/program/package.h"

#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace cleave::rt {

namespace {

/// Keeps the order in which keys were written, for readers and for determinism.
using Json = nlohmann::ordered_json;

constexpr uint64_t maxManifestBytes = uint64_t{16} << 20;
constexpr int maxDepth = 8;
constexpr std::string_view formatName = "cleave-package";

std::string toHex(uint64_t value) {
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(value));
  return digits;
}

/// The checksum of all but the key `checksum`, which is the last one.
std::string checksumOfRest(Json json) {
  json.erase("checksum");
  return toHex(checksumOf(std::string_view(json.dump())));
}

// ---- Writing ----

Json toJson(const ManifestFile &file) {
  return Json{{"size", file.size}, {"xxh3", toHex(file.checksum)}};
}

Json toJson(const std::vector<ManifestPort> &ports) {
  Json result = Json::array();
  for (const ManifestPort &port : ports) {
    Json dims = Json::array();
    for (const auto &dim : port.dims)
      std::visit([&](const auto &value) { dims.push_back(value); }, dim);
    result.push_back(Json{
        {"name", port.name}, {"type", elementTypeInfo(port.type).name}, {"dims", std::move(dims)}});
  }
  return result;
}

Json toJson(const Manifest &manifest) {
  Json mesh = Json::array();
  for (const ManifestAxis &axis : manifest.mesh)
    mesh.push_back(Json{{"axis", axis.name}, {"size", axis.size}});
  Json entries = Json::array();
  for (const ManifestEntry &entry : manifest.entries)
    entries.push_back(Json{{"name", entry.name},
                           {"inputs", toJson(entry.inputs)},
                           {"outputs", toJson(entry.outputs)}});
  Json files = Json::array();
  for (const ManifestRank &rank : manifest.files) {
    Json checksums = Json::array();
    for (uint64_t checksum : rank.weightsChecksums)
      checksums.push_back(toHex(checksum));
    files.push_back(
        Json{{"program", toJson(rank.program)},
             {"weights", Json{{"size", rank.weightsSize}, {"xxh3", std::move(checksums)}}}});
  }
  Json json{{"format", formatName},          {"version", manifestVersion},
            {"producer", manifest.producer}, {"id", manifest.packageId},
            {"source", manifest.source},     {"mesh", std::move(mesh)},
            {"stages", manifest.stages},     {"ranks", manifest.ranks},
            {"plan", manifest.plan},         {"entries", std::move(entries)}};
  if (const auto &facts = manifest.languageModel)
    json["language_model"] = Json{{"architecture", facts->architecture},
                                  {"context_length", facts->contextLength},
                                  {"vocabulary", facts->vocabulary}};
  if (manifest.tokenizer)
    json["tokenizer"] = toJson(*manifest.tokenizer);
  json["files"] = std::move(files);
  return json;
}

// ---- Reading ----

/// A JSON value together with how to name it in a message.
class Node {
public:
  Node(const Json &json, const std::string &file, std::string name)
      : json(json), file(file), name(std::move(name)) {}

  [[noreturn]] void refuse(const std::string &why) const {
    throw std::runtime_error(file + ": " + (name.empty() ? std::string() : "'" + name + "' ") +
                             why);
  }

  std::optional<Node> find(const char *key) const {
    if (!json.is_object())
      refuse("is not an object");
    auto found = json.find(key);
    if (found == json.end())
      return std::nullopt;
    return Node(*found, file, name.empty() ? key : name + "." + key);
  }

  Node at(const char *key) const {
    if (std::optional<Node> found = find(key))
      return *found;
    refuse(std::string("has no key '") + key + "'");
  }

  std::vector<Node> items() const {
    if (!json.is_array())
      refuse("is not a list");
    std::vector<Node> result;
    result.reserve(json.size());
    for (const Json &item : json)
      result.emplace_back(item, file, name + "[" + std::to_string(result.size()) + "]");
    return result;
  }

  bool isString() const { return json.is_string(); }

  const std::string &string() const {
    if (!json.is_string())
      refuse("is not a string");
    return json.get_ref<const std::string &>();
  }

  const std::string &nonEmptyString() const {
    if (string().empty())
      refuse("is empty");
    return string();
  }

  int64_t integer(int64_t least, int64_t most = std::numeric_limits<int64_t>::max()) const {
    bool fits = json.is_number_integer() &&
                (!json.is_number_unsigned() || json.get<uint64_t>() <= uint64_t{1} << 62);
    if (!fits || json.get<int64_t>() < least || json.get<int64_t>() > most)
      refuse("is not a whole number from " + std::to_string(least) +
             (most == std::numeric_limits<int64_t>::max() ? "" : " to " + std::to_string(most)));
    return json.get<int64_t>();
  }

  uint64_t checksum() const {
    const std::string &digits = string();
    uint64_t value = 0;
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    if (digits.size() != 16 || error != std::errc() || end != digits.data() + digits.size())
      refuse("is not a checksum of 16 hexadecimal digits");
    return value;
  }

private:
  const Json &json;
  const std::string &file;
  std::string name;
};

ManifestFile readFileFacts(const Node &node) {
  return {static_cast<uint64_t>(node.at("size").integer(0)), node.at("xxh3").checksum()};
}

std::vector<ManifestPort> readPorts(const Node &node) {
  std::vector<ManifestPort> result;
  for (const Node &item : node.items()) {
    ManifestPort port;
    port.name = item.at("name").nonEmptyString();
    Node type = item.at("type");
    const ElementTypeInfo *info = findElementType(std::string_view(type.string()));
    if (!info)
      type.refuse("is '" + type.string() + "', which is no element type of this version");
    port.type = info->type;
    for (const Node &dim : item.at("dims").items()) {
      if (dim.isString())
        port.dims.emplace_back(dim.nonEmptyString());
      else
        port.dims.emplace_back(dim.integer(0));
    }
    result.push_back(std::move(port));
  }
  return result;
}

Manifest readRoot(const Node &root) {
  Manifest manifest;
  manifest.producer = root.at("producer").string();
  manifest.packageId = root.at("id").string();
  if (!isPackageId(manifest.packageId))
    root.at("id").refuse("is not a package id: 1 to 64 of 0-9, a-z and '-'");
  manifest.source = root.at("source").string();
  manifest.plan = root.at("plan").string();
  manifest.stages = root.at("stages").integer(1, maxRanks);
  manifest.ranks = root.at("ranks").integer(1, maxRanks);
  int64_t product = manifest.stages;
  for (const Node &item : root.at("mesh").items()) {
    ManifestAxis axis{item.at("axis").nonEmptyString(), item.at("size").integer(1, maxRanks)};
    product *= axis.size; // at most 2^16 * 2^16: checked each time round
    if (product > manifest.ranks)
      break;
    manifest.mesh.push_back(std::move(axis));
  }
  if (product != manifest.ranks)
    root.at("ranks").refuse("is " + std::to_string(manifest.ranks) +
                            ", which is not the stages times the sizes of the mesh");
  for (const Node &item : root.at("entries").items())
    manifest.entries.push_back({item.at("name").nonEmptyString(), readPorts(item.at("inputs")),
                                readPorts(item.at("outputs"))});
  if (std::optional<Node> facts = root.find("language_model"))
    manifest.languageModel = {facts->at("architecture").string(),
                              facts->at("context_length").integer(1),
                              facts->at("vocabulary").integer(1)};
  if (std::optional<Node> tokenizer = root.find("tokenizer"))
    manifest.tokenizer = readFileFacts(*tokenizer);
  for (const Node &item : root.at("files").items()) {
    Node weights = item.at("weights");
    ManifestRank rank;
    rank.program = readFileFacts(item.at("program"));
    rank.weightsSize = static_cast<uint64_t>(
        weights.at("size").integer(static_cast<int64_t>(weightFileHeaderBytes)));
    for (const Node &checksum : weights.at("xxh3").items())
      rank.weightsChecksums.push_back(checksum.checksum());
    manifest.files.push_back(std::move(rank));
  }
  if (manifest.files.size() != static_cast<uint64_t>(manifest.ranks))
    root.at("files").refuse("has " + std::to_string(manifest.files.size()) + " items for " +
                            std::to_string(manifest.ranks) + " ranks");
  return manifest;
}

/// Refuses documents deeper than any manifest while they are parsed.
bool limitDepth(int depth, Json::parse_event_t, Json &) {
  if (depth > maxDepth)
    throw std::runtime_error("is nested too deeply for a manifest");
  return true;
}

} // namespace

std::string manifestText(const Manifest &manifest) {
  try {
    Json json = toJson(manifest);
    json["checksum"] = checksumOfRest(json);
    return json.dump(2) + "\n";
  } catch (const Json::exception &error) {
    throw std::runtime_error(std::string(manifestFileName) +
                             ": cannot be written as JSON: " + error.what());
  }
}

Manifest parseManifest(std::string_view text, const std::string &fileName) {
  try {
    Json json = Json::parse(text, limitDepth);
    Node root(json, fileName, "");
    if (std::optional<Node> format = root.find("format"); !format || format->string() != formatName)
      root.refuse("is not the manifest of a package");
    if (int64_t version = root.at("version").integer(0); version != manifestVersion)
      root.refuse("is of version " + std::to_string(version) + "; this program reads version " +
                  std::to_string(manifestVersion) + ". partition the model again");
    if (root.at("checksum").string() != checksumOfRest(json))
      root.refuse("was altered: it differs from its own checksum");
    return readRoot(root);
  } catch (const Json::exception &error) {
    throw std::runtime_error(fileName + ": is not valid JSON: " + error.what());
  } catch (const std::runtime_error &error) {
    // From limitDepth, which does not know the file.
    if (std::string_view(error.what()).starts_with(fileName))
      throw;
    throw std::runtime_error(fileName + ": " + error.what());
  }
}

Manifest readManifest(const std::filesystem::path &folder) {
  std::filesystem::path path = folder / manifestFileName;
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored))
    throw std::runtime_error(folder.string() + ": is not a package: it has no " +
                             std::string(manifestFileName));
  return parseManifest(readFile(path, maxManifestBytes).text(), path.string());
}

void writeManifest(const Manifest &manifest, const std::filesystem::path &folder) {
  writeFile(folder / manifestFileName, manifestText(manifest));
}

} // namespace cleave::rt
