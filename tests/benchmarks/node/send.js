// Sends as the Node generation does, when it is told to: node send.js PACKAGE COUNT PORT

const [, , name, count, port] = process.argv;
const Client = require(name);
const readline = require("readline");

const ID = "5a7966bb8f3ea30000000001";
const SECRET = "a secret of the benchmark";

function take() {
  const firehoseUrl = `http://127.0.0.1:${port}/api/v1/firehose`;
  const client = new Client({ id: ID, secret: SECRET, organization: `127.0.0.1:${port}`, firehoseUrl });
  const sent = [];
  for (let number = 0; number < Number(count); number += 1) {
    const user = client.asUser({ external_id: `user-${number}` });
    sent.push(user.traits({ n: number, plan: "enterprise", visits: 17, city: "Paris" }));
  }
  return Promise.all(sent);
}

console.log(JSON.stringify({}));
const lines = readline.createInterface({ input: process.stdin });
lines.on("close", () => process.exit(0)); // or the client would flush for ever, at the end of the event loop
lines.on("line", () => {
  const cpu = process.cpuUsage();
  const start = process.hrtime.bigint();
  take()
    .then((all) => {
      const used = process.cpuUsage(cpu);
      console.log(
        JSON.stringify({
          count: all.length,
          wall_s: Number(process.hrtime.bigint() - start) / 1e9,
          cpu_s: (used.user + used.system) / 1e6,
          figures: { peak_mb: process.resourceUsage().maxRSS / 1000 },
        })
      );
    })
    .catch((error) => {
      console.error(error);
      process.exit(1);
    });
});
