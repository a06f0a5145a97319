// Run by a test: an app at Nightscout's web sockets, with socket.io's own client; says each thing on a line.
// node nightscout.js <url> <secret> <transports, with commas>
'use strict';
const { io } = require('socket.io-client');

const [url, secret, transports] = process.argv.slice(2);
const say = (what) => console.log(JSON.stringify(what));
const options = { transports: transports.split(','), reconnectionDelay: 100, forceNew: true };
const storage = io(`${url}/storage`, options);
const collections = ['devicestatus', 'entries', 'profile', 'treatments', 'foods', 'settings']; // AndroidAPS asks for foods

storage.on('connect', () => {
  storage.emit('subscribe', { accessToken: secret, collections }, (granted) => {
    say({ storage: granted });
    const alarm = io(`${url}/alarm`, options);
    alarm.on('connect', () => alarm.emit('subscribe', { accessToken: secret }, (said) => say({ alarm: said })));
  });
});
for (const event of ['create', 'update', 'delete']) storage.on(event, (said) => say({ [event]: said }));
storage.on('disconnect', (reason) => say({ disconnected: reason }));
