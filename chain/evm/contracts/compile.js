// Compiles every contract beside this file with the npm package solc 0.8.37 (pure wasm, it fetches nothing else).
//
//   mkdir /tmp/solc && cd /tmp/solc && npm install solc@0.8.37
//   NODE_PATH=/tmp/solc/node_modules node compile.js
//
// Equal sources and settings give equal bytes. A test compares what is committed with the sources.
const fs = require("fs");
const path = require("path");
const solc = require("solc");

const VERSION = "0.8.37";
if (!solc.version().startsWith(VERSION)) {
  throw new Error(`solc is ${solc.version()}, not ${VERSION}`);
}

const names = fs.readdirSync(__dirname).filter((f) => f.endsWith(".sol")).sort();
const input = {
  language: "Solidity",
  sources: Object.fromEntries(names.map((f) => [f, { content: fs.readFileSync(path.join(__dirname, f), "utf8") }])),
  settings: {
    evmVersion: "paris", // no opcode that an older chain lacks
    optimizer: { enabled: true, runs: 200 },
    metadata: { bytecodeHash: "ipfs" },
    outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "metadata"] } },
  },
};

const output = JSON.parse(solc.compile(JSON.stringify(input)));
for (const e of output.errors || []) {
  console.error(e.formattedMessage);
}
if ((output.errors || []).length > 0) {
  process.exit(1); // warnings too
}

for (const file of names) {
  const name = path.basename(file, ".sol");
  const c = output.contracts[file][name];
  fs.writeFileSync(path.join(__dirname, name + ".abi.json"), JSON.stringify(c.abi, null, 2) + "\n");
  fs.writeFileSync(path.join(__dirname, name + ".bin"), c.evm.bytecode.object + "\n");
  fs.writeFileSync(path.join(__dirname, name + ".metadata.json"), c.metadata); // hashed as it is: no newline
  console.log(name, c.evm.bytecode.object.length / 2, "bytes");
}
