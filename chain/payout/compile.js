// Compiles BatchPayout.sol, and the helpers of the tests, with the npm package solc (pure wasm, it fetches nothing else) in
// the version and with the settings of settings.json. Equal sources and settings give equal bytes.
//
//   NODE_PATH=FOLDER/node_modules node compile.js [OUT [FROM]]
//
// compiles what is in FROM and writes into OUT, by default beside this file. `make contract` does all of it.
const fs = require("fs");
const path = require("path");
const solc = require("solc");

const { solc: version, settings } = JSON.parse(fs.readFileSync(path.join(__dirname, "settings.json"), "utf8"));
if (!solc.version().startsWith(version + "+")) {
  throw new Error(`solc is ${solc.version()}, not ${version}`);
}
const out = process.argv[2] || __dirname;
const from = process.argv[3] || __dirname;
const present = (file) => fs.existsSync(path.join(from, file));

function compile(file, tolerated = []) {
  const output = JSON.parse(solc.compile(JSON.stringify({
    language: "Solidity",
    sources: { [path.basename(file)]: { content: fs.readFileSync(path.join(from, file), "utf8") } },
    settings: { ...settings, outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object", "metadata"] } } },
  })));
  const errors = (output.errors || []).filter((e) => !tolerated.includes(e.errorCode));
  errors.forEach((e) => console.error(e.errorCode, e.formattedMessage));
  if (errors.length > 0) {
    process.exit(1); // warnings too
  }
  return output.contracts[path.basename(file)];
}

function write(name, text) {
  fs.mkdirSync(path.dirname(path.join(out, name)), { recursive: true });
  fs.writeFileSync(path.join(out, name), text);
}

for (const name of ["BatchPayout", "TokenProbe"].filter((n) => present(n + ".sol"))) {
  const c = compile(name + ".sol")[name];
  write(name + ".abi.json", JSON.stringify(c.abi, null, 2) + "\n");
  write(name + ".bin", c.evm.bytecode.object + "\n");
  write(name + ".runtime.bin", c.evm.deployedBytecode.object + "\n");
  write(name + ".metadata.json", c.metadata); // hashed as it is: no newline
  console.log(name, c.evm.deployedBytecode.object.length / 2, "bytes");
}

// The helpers are one file of many contracts, and so is what becomes of it. One of them destroys itself (1699).
if (present("testdata/Hostile.sol")) {
  const helpers = Object.entries(compile("testdata/Hostile.sol", ["1699"]));
  const all = helpers.map(([name, c]) => ({ name, abi: c.abi, bin: c.evm.bytecode.object, metadata: c.metadata }));
  write("testdata/Hostile.json", JSON.stringify(all, null, 1) + "\n");
  console.log(all.length, "helpers");
}
