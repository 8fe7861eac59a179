// Runs calls on a client of the Node generation: node client.js PLAN.json
//
// PLAN.json: {"package": "hull-client-2", "options": {...}, "stages": [[chain, ...], ...]}
// A chain is a list of [method, ...arguments], each called on what the one before returned; the chains of a stage
// start together, the next stage begins when all have ended. Prints one line {"results": [[outcome, ...], ...]}
// where an outcome is {"value": ...} or {"error": {"message": ..., "status": ...}}.

const fs = require("fs");
const _ = require("lodash");

const plan = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
const Client = require(plan.package);
const client = new Client(plan.options);

function call(target, [method, ...args]) {
  const owner = method.includes(".") ? _.get(target, method.split(".").slice(0, -1)) : target;
  const name = method.split(".").pop();
  if (typeof owner[name] !== "function") throw new Error(`no method ${method}`);
  return owner[name](...args);
}

function failure(err) {
  const error = err instanceof Error ? { message: err.message, status: err.status } : err;
  return { error };
}

async function run(chain) {
  try {
    return { value: await chain.reduce(call, client) };
  } catch (err) {
    return failure(err);
  }
}

async function main() {
  const results = [];
  for (const stage of plan.stages) {
    results.push(await Promise.all(stage.map(run)));
  }
  process.stdout.write(`\n${JSON.stringify({ results })}\n`, () => process.exit(0));
}

main();
