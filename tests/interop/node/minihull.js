// Plays the platform with npm minihull: node minihull.js PLAN.json
//
// PLAN.json: {"connector": {...}, "users": [...], "calls": [[method, ...arguments], ...]}
// Listens on a free loopback port with the connector installed and the users stored, makes the calls one after the
// other, and prints {"event": "done", "port": n, "results": [{"status", "text"}, ...]}. Then it goes on answering, so
// that a connector can fetch the batch; GET /_received answers what reached it: [{"method", "url", "body"}, ...].

const fs = require("fs");
const MiniHull = require("minihull");

const plan = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
const minihull = new MiniHull({ hostname: "127.0.0.1", secret: plan.secret });

function outcome(answer) {
  return { status: answer.status, text: answer.text };
}

async function call([method, ...args]) {
  try {
    const answer = await minihull[method](...args);
    return Array.isArray(answer) ? answer.map(outcome) : outcome(answer);
  } catch (err) {
    return err.response ? outcome(err.response) : { error: err.message };
  }
}

async function main() {
  const results = [];
  for (const one of plan.calls) {
    results.push(await call(one));
  }
  const { port } = minihull;
  process.stdout.write(`${JSON.stringify({ event: "done", port, results })}\n`);
}

minihull.stubUsersSegments(plan.segments).stubAccountsSegments([]);
minihull.app.get("/_received", (req, res) => {
  res.json(minihull.requests.get("incoming").value().map(({ method, url, body }) => ({ method, url, body })));
});
plan.connectors.forEach(connector => minihull.db.get("connectors").push(connector).write());
plan.users.forEach(user => minihull.db.get("users").push(user).write());
minihull.server.listen(0, "127.0.0.1", () => {
  minihull.port = minihull.server.address().port;
  main();
});
