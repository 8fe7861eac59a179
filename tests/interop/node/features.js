// Lists what npm hull and both generations of npm hull-client offer: node features.js
//
// Prints one line {"features": ["Client.alias", ...]}: the exports of the packages, the methods of their clients
// (unscoped, of a user, of an account), and the prototype methods of what they export.

const fs = require("fs");
const path = require("path");

const HULL_MODULES = { Hull: "hull", utils: "hull/lib/utils", errors: "hull/lib/errors", helpers: "hull/lib/helpers", infra: "hull/lib/infra" };
const CLIENTS = ["hull-client-1", "hull-client-2"];
const GROUPS = ["utils", "logger"]; // objects of a client that hold functions

const features = new Set();

function prototypeMethods(value) {
  return Object.getOwnPropertyNames(value.prototype || {}).filter(name => name !== "constructor");
}

function listModule(prefix, name) {
  Object.entries(require(name)).forEach(([key, value]) => {
    features.add(`${prefix}.${key}`);
    if (prefix !== "Hull" && typeof value === "function") {
      prototypeMethods(value).forEach(method => features.add(`${prefix}.${key}.${method}`));
    }
  });
}

function listMethods(prefix, object) {
  const names = new Set(Object.keys(object));
  for (let proto = Object.getPrototypeOf(object); proto !== Object.prototype; proto = Object.getPrototypeOf(proto)) {
    Object.getOwnPropertyNames(proto).forEach(name => names.add(name));
  }
  names.delete("constructor");
  names.forEach(name => {
    if (typeof object[name] === "function") features.add(`${prefix}.${name}`);
  });
}

function listGroup(prefix, group) {
  Object.entries(group).forEach(([name, value]) => {
    if (typeof value === "function") features.add(`${prefix}.${name}`);
    else listGroup(`${prefix}.${name}`, value);
  });
}

function listClient(name) {
  const Client = require(name);
  const client = new Client({ id: "5c0a1b2c3d4e5f6071829304", secret: "made-up", organization: "acme.hullapp.io" });
  const user = client.asUser({ email: "a@example.com" });
  [client, user, client.asAccount({ domain: "example.com" }), user.account({ domain: "example.com" })]
    .forEach(scoped => listMethods("Client", scoped));
  GROUPS.forEach(group => listGroup(`Client.${group}`, client[group]));
}

function listTypes() {
  const index = path.join(path.dirname(require.resolve("hull")), "types", "index.js");
  fs.readFileSync(index, "utf8").match(/\bTHull\w+/g).forEach(name => features.add(`types.${name}`));
}

Object.entries(HULL_MODULES).forEach(([prefix, name]) => listModule(prefix, name));
prototypeMethods(require("hull/lib/connector")).forEach(method => features.add(`Connector.${method}`));
CLIENTS.forEach(listClient);
listTypes();
process.stdout.write(`\n${JSON.stringify({ features: [...features].sort() })}\n`, () => process.exit(0));
