import { mount } from 'svelte'
import App from './App.svelte'
import './app.css'
import './ansi.css'

const target = document.getElementById('app')
if (!target) throw new Error('no place for the page')
mount(App, { target })
