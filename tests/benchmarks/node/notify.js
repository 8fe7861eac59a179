// Receives notifications as the Node generation does: node notify.js FD, which is a socket that listens.

const fs = require("fs");
const express = require("express");
const Hull = require("hull");
const { smartNotifierHandler } = require("hull/lib/utils");

let count = 0;
let tally;

function add(number) {
  if (tally === undefined) tally = fs.openSync(`${process.env.BENCHMARK_TALLIES}/${process.pid}`, "w");
  count += number;
  fs.writeSync(tally, String(count).padStart(20, "0"), 0);
}

const app = express();
const connector = new Hull.Connector({ hostSecret: "a long random text for it", port: 0 });
connector.setupApp(app);
app.use("/notify", smartNotifierHandler({
  handlers: {
    "user:update": (ctx, messages) => {
      add(messages.length);
      ctx.smartNotifierResponse.setFlowControl({ type: "next", size: 1, in: 1000 });
      return Promise.resolve();
    }
  }
}));
app.listen({ fd: Number(process.argv[2]) });
process.on("SIGTERM", () => process.exit(0));
