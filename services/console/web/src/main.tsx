import { render } from 'preact';
import { App } from './app.tsx';
import { startRefreshing } from './state.ts';
import './style.css';

startRefreshing();
const root = document.getElementById('app');
if (root) render(<App />, root);
