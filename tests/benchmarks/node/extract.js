// Reads extracts as the Node generation does, when it is told to: node extract.js FORMAT COUNT PORT

const [, , format, count, port] = process.argv;
const handleExtract = require("hull/lib/helpers/handle-extract");
const readline = require("readline");

const NOTE = "Große Änderung für Zoë: naïve façade, 東京, żółć, Ωmega";
const ctx = { client: { logger: console } };

function take() {
  const counted = { rows: 0, corrupted: 0 };
  return handleExtract(ctx, {
    body: { url: `http://127.0.0.1:${port}/${format}/${count}`, format },
    batchSize: 100,
    handler: rows => {
      counted.rows += rows.length;
      for (const row of rows) if (row.note !== NOTE) counted.corrupted += 1;
      return Promise.resolve();
    }
  }).then(() => counted);
}

console.log(JSON.stringify({}));
const lines = readline.createInterface({ input: process.stdin });
lines.on("close", () => process.exit(0));
lines.on("line", () => {
  const cpu = process.cpuUsage();
  const start = process.hrtime.bigint();
  take()
    .then(counted => {
      const used = process.cpuUsage(cpu);
      console.log(
        JSON.stringify({
          count: counted.rows,
          wall_s: Number(process.hrtime.bigint() - start) / 1e9,
          cpu_s: (used.user + used.system) / 1e6,
          figures: { peak_mb: process.resourceUsage().maxRSS / 1000, corrupted: counted.corrupted }
        })
      );
    })
    .catch(error => {
      console.error(error);
      process.exit(1);
    });
});
