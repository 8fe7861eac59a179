// Prints the token that npm hull's own middleware puts on a context: node token.js '{"hostSecret", "config"}'

const Hull = require("hull");

const { hostSecret, config } = JSON.parse(process.argv[2]);
// A notification brings its connector along, so nothing is fetched.
const req = { hull: { config, notification: { connector: {} } }, query: {}, headers: {} };

Hull.Middleware({ hostSecret })(req, {}, err => {
  if (err) throw err;
  // The client's timers would keep the process alive.
  process.stdout.write(req.hull.token, () => process.exit(0));
});
