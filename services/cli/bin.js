#!/usr/bin/env node
import nodeModule from 'node:module';

// Plain JavaScript on purpose: this file must still speak where Node is too old to read TypeScript.
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 24 || (major === 24 && minor < 12)) {
  process.stderr.write(
    `Reckoner needs Node 24.12 or newer; this is Node ${process.versions.node}.\n` +
      'Start it with "npm run …" or "npx reckoner" in its folder (on Linux "npm ci" of npm 11 installs the right Node there; with an older npm: "npx npm@11 ci"), or install Node 24.\n',
  );
  process.exit(1);
}
// Children start often (a demo, a restart): keep what was compiled before.
nodeModule.enableCompileCache?.();
const { runCli } = await import('./main.ts');
await runCli(process.argv.slice(2));
