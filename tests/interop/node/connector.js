// A lead-scoring connector on npm hull, with signature validation on: node connector.js OPTIONS.json
//
// OPTIONS.json: {"clientConfig": {...}, "flowControl": {...}, "failFirst": n}
// Prints {"event": "ready", "port": n} when it accepts connections. GET /facts answers what has happened since:
// {"event": "called", ...}, {"event": "wrote", ...}, {"event": "refused", ...}.
// The first n notifications of user:update fail, so that they are delivered again.

const fs = require("fs");
const express = require("express");
const Hull = require("hull");
const { smartNotifierHandler } = require("hull/lib/utils");

const options = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
let failures = options.failFirst || 0;

const facts = [];
let signature;

function tell(event, fields) {
  facts.push({ event, ...fields });
}

function describe(ctx, messages) {
  return {
    channel: ctx.notification.channel,
    notification_id: ctx.notification.notification_id,
    ship: ctx.ship.id,
    organization: ctx.client.configuration().organization,
    signature,
    segments: (ctx.segments || []).map(segment => segment.name),
    messages
  };
}

function score(ctx, message) {
  const visits = message.user.traits_visits || 0;
  if (message.user.traits_node_score === visits * 10) return Promise.resolve();
  return ctx.client.asUser(message.user)
    .traits({ node_score: visits * 10 })
    .then(answer => tell("wrote", { user: message.user.id, answer }));
}

function userUpdate(ctx, messages) {
  tell("called", describe(ctx, messages));
  if (failures > 0) {
    failures -= 1;
    return Promise.reject(new Error("not yet"));
  }
  ctx.smartNotifierResponse.setFlowControl(options.flowControl);
  return Promise.all(messages.map(message => score(ctx, message)));
}

function other(ctx, messages) {
  tell("called", describe(ctx, messages));
  return Promise.resolve();
}

const app = express();
const connector = new Hull.Connector({
  hostSecret: "made-up-host-secret", // the outgoing token is signed with it
  port: 0,
  clientConfig: options.clientConfig
});

app.get("/facts", (req, res) => res.json(facts));
app.use((req, res, next) => {
  signature = req.headers["x-hull-smart-notifier-signature"];
  next();
});
connector.setupApp(app);
app.use("/smart-notifier", smartNotifierHandler({
  handlers: { "user:update": userUpdate, "account:update": other, "ship:update": other }
}));
app.use((err, req, res, next) => {
  tell("refused", { path: req.path, message: err.message, code: err.code });
  next(err);
});

const server = connector.startApp(app);
server.on("listening", () => {
  process.stdout.write(`${JSON.stringify({ event: "ready", port: server.address().port })}\n`);
});
